"""A real worker process: tasks, results, errors, prints, requests, drain, end."""

from __future__ import annotations

import json
import signal
import struct
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from conftest import Start
from supervisor import DEADLINE, Result, results, task_entry

import headrace as hr
from headrace import _frame, _trace

APP = """
        import logging, os, sys, datetime, dataclasses
        app = hr.App()

        @app.job()
        def noop() -> None: ...

        @app.job(queue="reports", timeout="10m")
        def add(job: hr.Job, a: int, b: int = 2) -> int:
            "Adds.  Two lines."
            job.progress(1, 2, "half")
            return a + b

        @app.call()
        def caller() -> list[object]:
            job = hr.current_job()
            return [job.user, job.method, job.claims, job.client]

        @app.call()
        async def later(job: hr.Job) -> list[object]:
            return [job.user, job.method, job.claims, job.client]

        @app.job()
        def boom(text: str) -> None:
            try:
                {}["inner"]
            except KeyError as error:
                raise ValueError(text) from error

        @app.job()
        def give(what: str) -> object:
            if what == "retry": raise hr.Retry("later", after="5s")
            if what == "fail": raise hr.Fail("never")
            if what == "gone": raise hr.Fail("no such thing", status=404)
            if what == "exit": sys.exit(3)
            return {"nan": float("nan"), "bytes": b"x", "object": object(), "set": {1}, "date": datetime.date(2026, 1, 2),
                    "surrogate": "\\ud800", "large": "x" * (17 << 20)}[what]

        @app.job()
        def talk() -> None:
            print("one")
            sys.stdout.write("tw"); sys.stdout.write("o\\nthree")
            print("oops", file=sys.stderr)
            sys.stdout.buffer.write("Zoë\\n".encode())
            logging.getLogger("app").warning("careful %s", 1, extra={"rows": 3})
            hr.current_job().log.debug("detail")

        @app.job()
        def meta(job: hr.Job) -> list[object]:
            return [job.id, job.attempt, job.key, job.queue, list(job.tags), job.deadline, job.resume(), list(job.parts), job.remaining() > 0]

        @app.job()
        def count(n: int):
            for i in range(n):
                yield i

        @app.job()
        def point(job: hr.Job) -> object:
            job.checkpoint({"row": 7})
            return job.resume()

        @app.job()
        def chain(job: hr.Job) -> str:
            return job.enqueue(add, a=1, delay="1m", tags=["x"])

        @app.job()
        def store(job: hr.Job) -> hr.Blob:
            return job.blob(b"a,b", name="x.csv")

        @app.job()
        def read(table: hr.Blob) -> str:
            with table.open("r") as file:
                return file.read() + table.type

        @dataclasses.dataclass
        class Picky:
            x: int
            def __post_init__(self):
                {}[self.x]
            @property
            def y(self): return 1

        @app.job()
        def picky(p: Picky) -> None: ...

        class Broken(dict):
            def items(self): raise KeyError("broken")

        @app.job()
        def broken() -> object: return [Broken(a=1)]

        @app.job()
        def forks() -> int:
            print("before")
            pid = os.fork()
            if not pid:
                print("in the child")
                os._exit(7)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        @app.job()
        def die() -> None:
            os.kill(os.getpid(), 11)

        @app.batch(size=4, wait="5ms")
        def upper(texts: list[str]) -> list[str]:
            if "crash" in texts: raise RuntimeError("whole")
            if "short" in texts: return []
            return [ValueError("bad") if t == "bad" else b"x" if t == "bytes" else t.upper() for t in texts]
"""


def test_hello(start: Start) -> None:
    worker = start(APP)
    hello = worker.hello
    assert hello["protocol"] == 1 and hello["sdk"] == "python 0.1.0" and hello["pid"] == worker.pid and hello["app"].endswith("app.py")
    add = hello["functions"][worker.names["add"]]
    assert add == {
        "name": "add", "kind": "job", "async": False, "stream": False, "doc": "Adds.  Two lines.", "blobs": [], "result": {"type": "integer"},
        "args": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 2}}, "required": ["a"],
                 "additionalProperties": False},
        "options": {"queue": "reports", "timeout": 600.0}}
    assert hello["functions"][worker.names["read"]]["blobs"] == ["table"]
    assert hello["functions"][worker.names["count"]]["stream"] is True
    batch = hello["functions"][worker.names["upper"]]
    assert batch["kind"] == "batch" and batch["args"]["properties"] == {"texts": {"type": "string"}} and batch["result"] == {"type": "string"}


def test_results_and_progress(start: Start) -> None:
    worker = start(APP)
    assert worker.run("noop") is None
    task = worker.submit("add", {"a": 1})
    assert worker.outcome(task) == 3
    assert [f.kind for f in worker.seen if f.stream == task] == [_frame.PROGRESS]
    assert worker.kind(_frame.PROGRESS, task).json == {"done": 1, "total": 2, "note": "half"}
    assert worker.run("add", {"a": 5.0, "b": 1}) == 6
    assert worker.drain() == 0


def test_a_frame_of_tasks_runs_in_order_and_coalesces(start: Start) -> None:
    worker = start(APP)
    noop, add = worker.names["noop"], worker.names["add"]
    worker.run("noop")
    worker.send(_frame.TASK, 0, b"".join(task_entry(100 + n, noop) for n in range(64)) + task_entry(200, add, {"a": 1}))
    found: list[Result] = []
    frames = 0
    while len(found) < 65:
        found += results(worker.kind(_frame.RESULT).body)
        frames += 1
    assert [one.task for one in found] == [*range(100, 164), 200]
    assert frames < 30


def test_errors(start: Start) -> None:
    worker = start(APP)
    error = worker.fails("boom", {"text": "no prices"})
    assert (error["kind"], error["type"], error["message"]) == ("error", "ValueError", "no prices")
    assert "KeyError: 'inner'" in error["traceback"] and "direct cause" in error["traceback"] and "headrace" not in error["traceback"]
    assert worker.fails("give", {"what": "retry"}) | {"traceback": ""} == {
        "kind": "retry", "type": "Retry", "message": "later", "traceback": "", "after": 5.0}
    error = worker.fails("give", {"what": "fail"})
    assert (error["kind"], error["message"], error["status"]) == ("fail", "never", 422)
    error = worker.fails("give", {"what": "gone"})
    assert (error["kind"], error["message"], error["status"]) == ("fail", "no such thing", 404)
    assert "status" not in worker.fails("boom", {"text": "x"})
    assert worker.fails("give", {"what": "exit"})["type"] == "SystemExit"
    for what, text in (("nan", "NaN"), ("bytes", "job.blob"), ("object", "no JSON"), ("surrogate", "surrogate"), ("large", "16777216")):
        error = worker.fails("give", {"what": what})
        assert error["kind"] == "unencodable" and text in error["message"], error
    assert worker.run("give", {"what": "set"}) == [1]
    assert worker.run("give", {"what": "date"}) == "2026-01-02"


@pytest.mark.parametrize(("args", "text"), [({}, "'a' is missing"), ({"a": 1, "c": 2}, "unknown argument 'c'"), ({"a": "x"}, "a: expected an integer"),
                                            ([1], "one JSON object")])
def test_arguments(start: Start, args: Any, text: str) -> None:
    error = start(APP).fails("add", args)
    assert error["kind"] == "arguments" and text in error["message"]


def test_user_code_that_breaks_while_decoding_or_encoding(start: Start) -> None:
    worker = start(APP)
    error = worker.fails("picky", {"p": {"x": 1}})
    assert error["kind"] == "arguments" and "KeyError" in error["message"]
    error = worker.fails("broken")
    assert error["kind"] == "unencodable" and "KeyError" in error["message"]
    assert worker.run("noop") is None


def test_a_process_that_user_code_forks_stays_out_of_the_frames(start: Start) -> None:
    worker = start(APP)
    task = worker.submit("forks")
    assert worker.outcome(task) == 7
    assert worker.logs(task) == ["before"]
    assert worker.drain() == 0
    assert worker.process.stdout is not None and worker.process.stdout.read() == b"in the child\n"


def test_prints_and_logs_belong_to_their_task(start: Start) -> None:
    worker = start(APP)
    task = worker.submit("talk")
    worker.outcome(task)
    assert worker.logs(task, "stdout") == ["one", "two", "threeZoë"]
    assert worker.logs(task, "stderr") == ["oops"]
    assert worker.logs(task, "warning") == ["careful 1"]
    assert worker.logs(task, "debug") == ["detail"]
    record = next(f.json for f in worker.seen if f.kind == _frame.LOG and f.json["level"] == "warning")
    assert record["fields"] == {"logger": "app", "rows": 3}


def test_meta(start: Start) -> None:
    worker = start(APP)
    meta = {"id": "j1", "attempt": 2, "key": "LH", "queue": "q", "deadline": 4102444800.0, "checkpoint": {"row": 4}, "tags": ["a"],
            "parts": [{"id": "p", "state": "succeeded", "result": 1}]}
    assert worker.run("meta", {}, meta) == ["j1", 2, "LH", "q", ["a"], "2100-01-01T00:00:00+00:00", {"row": 4}, meta["parts"], True]
    assert worker.run("meta") == ["", 1, None, "default", [], None, None, [], True]


@pytest.mark.parametrize("function", ["caller", "later"])
def test_a_function_learns_who_asks(start: Start, function: str) -> None:
    worker = start(APP)
    claims = {"sub": "ann", "roles": ["clerk"]}
    assert worker.run(function, {}, {"user": "ann", "method": "jwt", "claims": claims}) == ["ann", "jwt", claims, ""]
    assert worker.run(function, {}, {"user": "bob", "client": "c1"}) == ["bob", "", {}, "c1"]
    assert worker.run(function) == ["", "", {}, ""]


def test_who_asks_is_given_in_tests_of_functions() -> None:
    job = hr.Job(user="ann", method="key", claims={"metadata": {"plan": "gold"}})
    assert (job.user, job.method, job.claims["metadata"], hr.Job().claims) == ("ann", "key", {"plan": "gold"}, {})


@pytest.mark.parametrize("status", [-1, 200, 399, 600])
def test_a_failure_has_the_status_of_an_error(status: int) -> None:
    assert [hr.Fail("no").status, *(hr.Fail("no", status=s).status for s in (400, HTTPStatus.GONE, 599))] == [422, 400, 410, 599]
    with pytest.raises(ValueError, match=f"status is {status}"):
        hr.Fail("no", status=status)


def test_a_failure_of_ones_own() -> None:
    class Missing(hr.Fail):
        status = 404

        def __init__(self) -> None:
            Exception.__init__(self, "there is none")

    told = json.loads(_trace.body(Missing()))
    assert (told["kind"], told["type"], told["message"], told["status"]) == ("fail", "Missing", "there is none", 404)


def test_generator_checkpoint(start: Start) -> None:
    worker = start(APP)
    task = worker.submit("count", {"n": 3})
    assert worker.outcome(task) is None
    assert [f.json for f in worker.seen if f.kind == _frame.CHUNK and f.stream == task] == [0, 1, 2]
    task = worker.submit("point")
    assert worker.outcome(task) == {"row": 7}
    assert worker.kind(_frame.CHECKPOINT, task).json == {"row": 7}


def test_requests(start: Start) -> None:
    worker = start(APP)
    task = worker.submit("chain")
    asked = worker.kind(_frame.REQUEST, task).json
    assert asked == {"id": asked["id"], "op": "enqueue", "function": "add", "args": {"a": 1}, "options": {"delay": 60.0, "tags": ["x"]}}
    other = worker.submit("add", {"a": 1})  # a frame that comes before the reply waits its turn
    worker.send(_frame.PING, 0, b"still there?")
    assert worker.kind(_frame.PONG).body == b"still there?"
    worker.send(_frame.REPLY, task, {"id": asked["id"], "ok": {"id": "j2"}})
    assert worker.outcome(task) == "j2"
    assert worker.outcome(other) == 3
    task = worker.submit("chain")
    asked = worker.kind(_frame.REQUEST, task).json
    worker.send(_frame.REPLY, task, {"id": asked["id"], "error": {"code": "HR2003", "message": "unknown function", "hint": "list them"}})
    with pytest.raises(Exception, match="HR2003: unknown function"):
        worker.outcome(task)


def test_blobs(start: Start, tmp_path: Path) -> None:
    worker = start(APP)
    task = worker.submit("store")
    asked = worker.kind(_frame.REQUEST, task).json
    spooled = Path(asked["path"])
    assert asked["op"] == "blob" and asked["name"] == "x.csv" and asked["type"] == "text/csv"
    assert spooled.parent == tmp_path and spooled.read_bytes() == b"a,b"
    stored = {"$blob": "sha256:" + "0" * 64, "size": 3, "type": "text/csv", "name": "x.csv"}
    spooled.rename(tmp_path / "moved")
    worker.send(_frame.REPLY, task, {"id": asked["id"], "ok": stored})
    assert worker.outcome(task) == stored
    assert worker.run("read", {"table": {**stored, "path": str(tmp_path / "moved")}}) == "a,btext/csv"


def test_batch(start: Start) -> None:
    worker = start(APP)

    def send(*texts: Any) -> list[int]:
        items = [(worker.number(), {"texts": text}) for text in texts]
        from supervisor import batch_body

        worker.send(_frame.BATCH, 0, batch_body(worker.names["upper"], items))
        return [task for task, _ in items]

    a, bad, raw, wrong, b = send("a", "bad", "bytes", 5, "b")
    assert (worker.outcome(a), worker.outcome(b)) == ("A", "B")
    for task, kind in ((bad, "error"), (raw, "unencodable"), (wrong, "arguments")):
        assert worker.kind(_frame.ERROR, task).json["kind"] == kind
    for text, expected in (("crash", "whole"), ("short", "got 2 items and returned 0")):
        for task in send("a", text):
            assert worker.kind(_frame.ERROR, task).json["message"].endswith(expected)


def test_crash_leaves_a_trace_on_stderr(start: Start) -> None:
    worker = start(APP)
    worker.submit("die")
    worker.ended()
    assert worker.process.wait(DEADLINE) == -signal.SIGSEGV
    assert worker.process.stderr is not None
    assert b"Segmentation fault" in worker.process.stderr.read()


def test_supervisor_gone(start: Start) -> None:
    worker = start(APP)
    worker.run("noop")
    worker.sock.close()
    assert worker.process.wait(DEADLINE) == 5


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", struct.pack("<IBBHQ", 0, 1, 1, 0, 0), _frame.encode(_frame.TASK, 0, b""),
                                  _frame.encode(_frame.TASK, 0, task_entry(1, 999)), _frame.encode(_frame.CANCEL, 1, b'{"reason":'),
                                  _frame.encode(_frame.PING, 0, bytes(1025))])
def test_protocol_error(start: Start, data: bytes) -> None:
    worker = start(APP)
    worker.sock.sendall(data)
    assert worker.process.wait(DEADLINE) == 4
    assert worker.process.stderr is not None and b"HR6001" in worker.process.stderr.read()


def test_drain_finishes_what_it_holds(start: Start) -> None:
    worker = start(APP)
    tasks = [worker.submit("add", {"a": n}) for n in range(5)]
    assert worker.drain() == 0
    found = [one for f in worker.seen if f.kind == _frame.RESULT for one in results(f.body)]
    assert [(one.task, one.value) for one in found] == [(task, n + 2) for n, task in enumerate(tasks)]


BROKEN = {
    "import": ("import nothing_of_this_name\n", "ModuleNotFoundError", "nothing_of_this_name"),
    "syntax": ("app = hr.App()\nx = (1,\n\ndef f(:\n", "SyntaxError", "^"),
    "none": ("x = 1\n", "HeadraceError", "has no App"),
    "two": ("a = hr.App()\nb = hr.App()\n", "HeadraceError", "2 Apps: a, b"),
    "raise": ("def f():\n    raise RuntimeError('at import')\nf()\n", "RuntimeError", "app.py"),
    "exit": ("raise SystemExit(0)\n", "SystemExit", ""),
    "annotation": ("app = hr.App()\n@app.job()\ndef f(x: bytes): ...\n", "TypeError", "f(): parameter 'x'"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("zygote", [False, True])
def test_broken_app(start: Start, case: str, zygote: bool) -> None:
    source, kind, text = BROKEN[case]
    worker = start(source, greet=False, zygote=zygote)
    frame = worker.receive()
    assert (frame.kind, frame.stream) == (_frame.ERROR, 0)
    assert frame.json["kind"] == "error" and frame.json["type"] == kind
    assert text in frame.json["message"] + frame.json["traceback"]
    assert "importlib" not in frame.json["traceback"] and "_load.py" not in frame.json["traceback"]
    assert worker.process.wait(DEADLINE) == 3


def test_named_app(start: Start) -> None:
    worker = start("a = hr.App()\nb = hr.App()\n@b.job()\ndef only() -> int: return 1\n", name="b")
    assert worker.run("only") == 1


def test_raw_descriptor_output_stays_outside_frames(start: Start) -> None:
    worker = start("import os\napp = hr.App()\n@app.job()\ndef f() -> None: os.write(1, b'raw')\n")
    assert worker.run("f") is None
    assert worker.drain() == 0
    assert worker.process.stdout is not None and worker.process.stdout.read() == b"raw"
