"""The app of the live tests: a function for RPC, a job that publishes, and functions that decide what clients may do."""

import os

import headrace as hr

app = hr.App()


@app.call()
def greet(name: str) -> dict[str, str]:
    return {"greeting": f"hello, {name}"}


@app.call()
def whoami(job: hr.Job) -> dict[str, object]:
    return {"user": job.user, "method": job.method, "claims": dict(job.claims)}


@app.call(route="POST /refuse")
def refuse(how: str) -> None:
    match how:
        case "deny":
            raise hr.Deny("not today", code=1007)
        case "disconnect":
            raise hr.Disconnect(4507, "go away")
        case "fail":
            raise hr.Fail("no such order", status=404)
    raise RuntimeError("refuse has a bug")


@app.batch(size=8, wait="1ms")
def refuse_some(n: list[int]) -> list[int | hr.Deny]:
    return [hr.Deny("odd", code=1008) if i % 2 else i for i in n]


@app.job(route="POST /announce")
def announce(job: hr.Job, channel: str, texts: list[str]) -> int:
    """Publishes as a job does: the channel of the job tells of its progress meanwhile."""
    for n, text in enumerate(texts, 1):
        hr.publish(channel, {"text": text}, idempotency_key=f"{job.id}-{n}")
        hr.publish(channel, {"text": "never seen"}, idempotency_key=f"{job.id}-{n}")
        job.progress(n, len(texts))
    return len(hr.history(channel).publications)


@app.job(route="POST /versions")
def versions(channel: str, numbers: list[int]) -> list[int]:
    return [hr.publish(channel, {"version": number}, version=number).offset for number in numbers]


@app.call(route="POST /kick")
def kick(user: str) -> None:
    hr.disconnect(user=user, code=4500, reason="kicked")


if os.environ.get("LIVE_TEST_EVENTS"):  # a server of its own asks these functions, so that others connect without a worker

    @app.on_connect
    def enter(client: hr.Connect) -> hr.Session | None:
        if client.user == "denied":
            raise hr.Deny("not you", code=1001)
        if client.user == "thrown":
            raise hr.Disconnect(4501, "go away")
        if client.user == "broken":
            raise RuntimeError("on_connect has a bug")
        if not client.user:
            return hr.Session(user="named", info={"name": "Named"}, data={"welcome": client.data}, channels=["asked:lobby"])
        return None

    @app.on_subscribe("asked:*")
    def join(wanted: hr.Subscribe) -> hr.Subscription | None:
        if wanted.channel == "asked:secret":
            raise hr.Deny("secret", code=1002)
        if wanted.channel == "asked:trap":
            raise hr.Disconnect(4502, "trapped")
        return hr.Subscription(info={"seat": 7}, data={"rules": "be kind"})

    @app.on_publish("asked:*")
    def judge(publication: hr.Publication) -> hr.Publication | None:
        text = publication.data["text"]
        if text == "spam":
            raise hr.Deny("no spam", code=1003)
        if text == "flood":
            raise hr.Disconnect(4503, "flooding")
        return publication.amended({"text": text.upper()})
