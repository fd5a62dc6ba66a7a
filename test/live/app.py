"""The app of the live tests: a function for RPC, a job that publishes, and functions that decide what clients may do."""

import os

import headrace as hr

app = hr.App()


@app.call()
def greet(name: str) -> dict[str, str]:
    return {"greeting": f"hello, {name}"}


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
