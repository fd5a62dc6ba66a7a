"""Functions that answer live events, and what functions ask of live channels."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import Any

import pytest
from conftest import Start
from supervisor import Process, TaskFailed, batch_body

import headrace as hr
from headrace import _frame

EVENTS = """
        import asyncio
        app = hr.App()

        @app.on_connect
        def welcome(connect: hr.Connect) -> hr.Session | None:
            if connect.headers.get("cookie") == "bad": raise hr.Disconnect(4500, "go away")
            if not connect.user and connect.data is None: return None
            return hr.Session(user=connect.user or connect.data["user"], info={"name": "Ada"}, channels=["news"],
                              subscriptions={"chat:1": hr.Subscription(data=[1])})

        @app.on_subscribe("chat:*")
        async def may_join(subscribe: hr.Subscribe) -> hr.Subscription | None:
            await asyncio.sleep(0)
            if subscribe.user == "eve": raise hr.Deny("not you", code=403)
            if subscribe.user == "odd": return 5
            return hr.Subscription(info={"role": "guest"})

        @app.on_subscribe("vip")
        def vip(subscribe) -> None: raise hr.Deny()

        @app.on_publish("chat:*", batch=8, wait="5ms", timeout="2s")
        def moderate(publications: list[hr.Publication]) -> list[hr.Publication | hr.Deny | None]:
            if any(p.data == "all" for p in publications): raise hr.Deny("all of you")
            return [hr.Deny("be kind") if p.data == "rude" else p.amended(p.data.upper()) if isinstance(p.data, str)
                    else 5 if p.data == 5 else ValueError("bad") if p.data == 6 else None for p in publications]
"""


def test_hello_tells_the_events(start: Start) -> None:
    worker = start(EVENTS, greet=False)
    functions = {function["name"]: function for function in worker.greet()["functions"]}
    assert {name: function["options"]["on"] for name, function in functions.items()} == {
        "welcome": {"event": "connect", "argument": "connect"}, "may_join": {"event": "subscribe", "channels": "chat:*", "argument": "subscribe"},
        "vip": {"event": "subscribe", "channels": "vip", "argument": "subscribe"},
        "moderate": {"event": "publish", "channels": "chat:*", "argument": "publications"}}
    assert [function["kind"] for function in functions.values()] == ["call", "call", "call", "batch"]
    assert functions["moderate"]["options"] == {"on": functions["moderate"]["options"]["on"], "size": 8, "wait": 0.005, "timeout": 2.0}


def test_answers(start: Start) -> None:
    worker = start(EVENTS)

    def ask(name: str, argument: str, **request: Any) -> Any:
        return worker.run(name, {argument: {"client": "c1", **request}})

    assert ask("welcome", "connect") == {}
    assert ask("welcome", "connect", headers={"cookie": "bad"}) == {"disconnect": {"code": 4500, "reason": "go away"}}
    assert ask("welcome", "connect", data={"user": "7"}, of_the_future=1) == {
        "user": "7", "info": {"name": "Ada"}, "channels": ["news"], "subs": {"chat:1": {"data": [1]}}}
    assert ask("may_join", "subscribe", channel="chat:1", user="ada") == {"info": {"role": "guest"}}
    assert ask("may_join", "subscribe", channel="chat:1", user="eve") == {"error": {"code": 403, "message": "not you"}}
    assert ask("vip", "subscribe", channel="vip") == {"error": {"code": 103, "message": "permission denied"}}
    with pytest.raises(TaskFailed, match=r"may_join\(\) answered with int; on_subscribe answers with None or hr.Subscription"):
        ask("may_join", "subscribe", channel="chat:1", user="odd")
    with pytest.raises(TaskFailed, match="channel"):
        ask("may_join", "subscribe")


def test_a_batch_answers_each(start: Start) -> None:
    worker = start(EVENTS)

    def ask(*data: Any) -> list[Any]:
        items = [(worker.number(), {"publications": {"channel": "chat:1", "data": one}}) for one in data]
        worker.send(_frame.BATCH, 0, batch_body(worker.names["moderate"], items))
        answers: list[Any] = []
        for task, _ in items:
            try:
                answers.append(worker.outcome(task))
            except TaskFailed as failed:
                answers.append(failed.body["message"])
        return answers

    *good, wrong, bad = ask("hi", "rude", {"text": 1}, 5, 6)
    assert good == [{"data": "HI"}, {"error": {"code": 103, "message": "be kind"}}, {}]
    assert wrong.startswith("moderate() answered with int") and bad == "bad"
    assert (hr.Publication.of({"channel": "a", "b64data": "/w=="}).data, hr.Publication.of({"channel": "a"}).data) == (b"\xff", None)
    assert ask("all", "hi") == [{"error": {"code": 103, "message": "all of you"}}] * 2


@pytest.mark.parametrize(("lines", "text"), [
    ("@app.on_subscribe('a*b')\ndef f(s: hr.Subscribe) -> None: ...", "must be a name, or a beginning and a star"),
    ("@app.on_subscribe('')\ndef f(s: hr.Subscribe) -> None: ...", "must be a name"),
    ("@app.on_subscribe('a')\ndef f(s: hr.Connect) -> None: ...", "has one parameter, an hr.Subscribe"),
    ("@app.on_connect\ndef f() -> None: ...", "has one parameter, an hr.Connect"),
    ("@app.on_connect\ndef f(s: hr.Connect, other: int) -> None: ...", "has one parameter, an hr.Connect"),
    ("@app.on_publish('a', batch=2)\ndef f(p: hr.Publication) -> None: ...", "list with one element per task"),
    ("@app.on_publish('a', wait='1s')\ndef f(p: hr.Publication) -> None: ...", "give batch too"),
    ("@app.on_connect\ndef f(s: hr.Connect):\n    yield 1", "it cannot be a generator"),
    ("@app.on_connect\ndef f(s: hr.Connect) -> None: ...\n@app.on_connect\ndef g(s: hr.Connect) -> None: ...", r"g\(\) and f\(\) both answer connect"),
    ("@app.on_subscribe('a')\ndef f(s: hr.Subscribe) -> None: ...\n@app.on_subscribe('a')\ndef g(s: hr.Subscribe) -> None: ...", "both answer subscribe of a"),
])
def test_refused_when_decorated(lines: str, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        exec(lines, {"app": hr.App(), "hr": hr})


def test_decorated_functions_stay_what_they_were() -> None:
    app = hr.App()

    @app.on_connect(timeout="2s")
    def welcome(connect: hr.Connect, job: hr.Job) -> hr.Session | None:
        return hr.Session(user="a", expires="1h")

    session = welcome(hr.Connect(client="c"), hr.Job())
    assert session == hr.Session(user="a", expires="1h")
    left = hr.Session(expires="1h").answer()["expire_at"] - datetime.now(timezone.utc).timestamp()
    assert 3590 < left <= 3600
    assert hr.Session(expires=datetime(2030, 1, 1, tzinfo=timezone.utc)).answer() == {"expire_at": 1893456000}
    for wrong in (lambda: hr.Deny(code=99), lambda: hr.Disconnect(5000)):
        with pytest.raises(ValueError, match="must be from"):
            wrong()


ASKING = """
        import asyncio
        from concurrent.futures import ThreadPoolExecutor
        app = hr.App()

        @app.call()
        def say(n: int = 1) -> object:
            return hr.publish("chat:1", {"n": n}, key="k", idempotency_key="i", tags={"a": "b"}, version=3, version_epoch="e")

        @app.job()
        def everywhere() -> object: return hr.broadcast(["a", "b"], 1)

        @app.call()
        def there() -> object: return hr.presence("chat:1")

        @app.call()
        def before() -> object:
            found = hr.history("chat:1", 2, since=hr.Position(4, "e"), reverse=True)
            return [found.publications[0].time, found.publications[0].data, found.position]

        @app.call()
        def out(user: str, client: str) -> object:
            hr.unsubscribe("chat:1", user=user or None, client=client or None)
            hr.disconnect(user=user or None, client=client or None, code=4500, reason="bye")

        @app.call()
        async def later() -> object: return await asyncio.to_thread(hr.publish, "chat:1", 1)

        @app.call()
        async def at_once() -> object: return hr.publish("chat:1", 1)

        @app.job()
        def from_thread() -> object:
            with ThreadPoolExecutor(1) as pool: return pool.submit(hr.publish, "chat:1", 1).result()

        @app.batch()
        def together(xs: list[int]) -> list[object]: return [hr.publish("x", x) for x in xs]

        @app.batch()
        async def together_later(xs: list[int]) -> list[object]: return [await asyncio.to_thread(hr.publish, "x", x) for x in xs]
"""
AT = {"offset": 5, "epoch": "e"}


def asked(worker: Process, task: int, ok: Any) -> dict[str, Any]:
    """Answers the next request of a task and returns what it asked for."""
    request: dict[str, Any] = worker.kind(_frame.REQUEST, task).json
    worker.send(_frame.REPLY, task, {"id": request.pop("id"), "ok": ok})
    return request


def test_requests(start: Start) -> None:
    worker = start(ASKING)
    task = worker.submit("say")
    assert asked(worker, task, AT) == {"op": "publish", "channel": "chat:1", "data": {"n": 1}, "key": "k", "idempotency_key": "i", "tags": {"a": "b"},
                                       "version": 3, "version_epoch": "e"}
    assert worker.outcome(task) == [5, "e"]
    task = worker.submit("everywhere")
    assert asked(worker, task, {"positions": [AT, {}]}) == {"op": "broadcast", "channels": ["a", "b"], "data": 1}
    assert worker.outcome(task) == [[5, "e"], [0, ""]]
    task = worker.submit("there")
    assert asked(worker, task, {"members": [{"client": "c", "user": "u", "info": {"x": 1}}]}) == {"op": "presence", "channel": "chat:1"}
    assert worker.outcome(task) == [{"client": "c", "user": "u", "info": {"x": 1}, "channel_info": None}]
    task = worker.submit("before")
    assert asked(worker, task, {"publications": [{"data": 1, "offset": 3, "time": 1000, "user": "u"}], **AT}) == {
        "op": "history", "channel": "chat:1", "limit": 2, "since": {"offset": 4, "epoch": "e"}, "reverse": True}
    assert worker.outcome(task) == ["1970-01-01T00:00:01+00:00", 1, [5, "e"]]
    task = worker.submit("out", {"user": "u", "client": ""})
    assert asked(worker, task, {}) == {"op": "unsubscribe", "channel": "chat:1", "user": "u"}
    assert asked(worker, task, {}) == {"op": "disconnect", "user": "u", "code": 4500, "reason": "bye"}
    assert worker.outcome(task) is None
    assert "name the user or the client" in worker.fails("out", {"user": "", "client": ""})["message"]


@pytest.mark.parametrize("name", ["later", "at_once", "from_thread"])
def test_from_async_functions_and_threads(start: Start, name: str) -> None:
    worker = start(ASKING)
    task = worker.submit(name)
    assert asked(worker, task, AT)["op"] == "publish"
    assert worker.outcome(task) == [5, "e"]


@pytest.mark.parametrize("name", ["together", "together_later"])
def test_from_a_batch(start: Start, name: str) -> None:
    worker = start(ASKING)
    tasks = [worker.number() for _ in range(3)]
    worker.send(_frame.BATCH, 0, batch_body(worker.names[name], [(task, {"xs": task}) for task in tasks]))
    for n, task in enumerate(tasks):
        frame = worker.kind(_frame.REQUEST)
        assert frame.stream in tasks and frame.json["data"] == task
        worker.send(_frame.REPLY, frame.stream, {"id": frame.json["id"], "ok": {"offset": n, "epoch": "e"}})
    assert [worker.outcome(task) for task in tasks] == [[0, "e"], [1, "e"], [2, "e"]]


def test_refusals(start: Start) -> None:
    worker = start(ASKING)
    task = worker.submit("say")
    request = worker.kind(_frame.REQUEST, task).json
    worker.send(_frame.REPLY, task, {"id": request["id"], "error": {"code": "HR3001", "message": "no namespace chat"}})
    with pytest.raises(TaskFailed, match="HR3001: no namespace chat"):
        worker.outcome(task)
    with pytest.raises(RuntimeError, match="publish.. asks headrace, which does not run this code"):
        hr.publish("chat:1", 1)
    with pytest.raises(RuntimeError):
        asyncio.run(asyncio.to_thread(hr.presence, "chat:1"))
    with pytest.raises(TypeError, match="for one there is publish"):
        hr.broadcast("chat:1", 1)
