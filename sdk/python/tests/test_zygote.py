"""A real zygote that forks real workers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from conftest import Start
from supervisor import DEADLINE

from headrace import _frame

APP = """
        import os, random
        app = hr.App()
        loaded = os.getpid()

        @app.job()
        def who() -> list[object]: return [os.getpid(), loaded, os.environ["HEADRACE_WORKER"], os.getppid()]

        @app.job()
        def chance() -> float: return random.random()

        @app.job()
        def shout() -> None: os.write(1, b"out"); os.write(2, b"err")

        @app.job()
        def die() -> None: os.kill(os.getpid(), 9)

        @app.call()
        async def later() -> int: return 5
"""


def test_forked_workers(start: Start, tmp_path: Path) -> None:
    zygote = start(APP, zygote=True)
    assert zygote.hello["pid"] == zygote.pid
    forks = []
    for name in ("w1", "w2", "w3"):
        worker = zygote.fork(name)
        told = zygote.kind(_frame.FORKED).json
        assert told["worker"] == name
        worker.pid = told["pid"]
        assert worker.greet(str(tmp_path))["pid"] == worker.pid
        worker.hello.pop("pid")
        forks.append((name, worker))
    for name, worker in forks:
        assert worker.run("who") == [worker.pid, zygote.pid, name, zygote.pid]
        assert worker.run("later") == 5
    assert len({worker.run("chance") for _, worker in forks}) == 3
    zygote.send(_frame.PING, 0, b"hi")
    assert zygote.kind(_frame.PONG).body == b"hi"

    _, first = forks[0]
    first.run("shout")
    first.send(_frame.DRAIN)
    first.ended()
    exited = zygote.kind(_frame.EXITED).json
    assert exited == {"pid": first.pid, "code": 0, "signal": 0, "max_rss": exited["max_rss"], "cpu": exited["cpu"]}
    assert exited["max_rss"] > 1 << 20 and exited["cpu"] >= 0
    assert (os.read(first.out, 100), os.read(first.out, 100), os.read(first.err, 100)) == (b"out", b"", b"err")

    _, second = forks[1]
    second.submit("die")
    exited = zygote.kind(_frame.EXITED).json
    assert (exited["pid"], exited["code"], exited["signal"]) == (second.pid, -1, 9)

    _, third = forks[2]
    zygote.send(_frame.DRAIN)
    zygote.fork("late")
    assert "draining" in zygote.kind(_frame.FORKED).json["refused"]
    assert third.run("who")[0] == third.pid  # a draining zygote keeps its children
    third.send(_frame.DRAIN)
    assert zygote.kind(_frame.EXITED).json["pid"] == third.pid
    assert zygote.process.wait(DEADLINE) == 0


def test_refuses_with_threads(start: Start) -> None:
    zygote = start("import threading, time\napp = hr.App()\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n", zygote=True)
    zygote.fork("w")
    assert zygote.kind(_frame.FORKED).json == {"worker": "w", "refused": "2 threads are alive"}
    zygote.send(_frame.PING, 0, b"")
    zygote.kind(_frame.PONG)


def test_end_of_zygote_ends_its_workers(start: Start) -> None:
    zygote = start(APP, zygote=True)
    worker = zygote.fork("w")
    zygote.kind(_frame.FORKED)
    worker.greet()
    worker.run("who")
    os.kill(zygote.pid, signal.SIGKILL)
    worker.ended()


def test_supervisor_gone(start: Start) -> None:
    zygote = start(APP, zygote=True)
    zygote.sock.close()
    assert zygote.process.wait(DEADLINE) == 5


@pytest.mark.parametrize("body", [_frame.encode(_frame.FORK, 0, b'{"worker":"w"}'), _frame.encode(_frame.TASK, 0, b"x")])
def test_protocol_error(start: Start, body: bytes) -> None:
    zygote = start(APP, zygote=True)
    zygote.sock.sendall(body)
    assert zygote.process.wait(DEADLINE) == 4


def test_fork_is_fast(start: Start) -> None:
    zygote = start(APP, zygote=True)
    times = []
    for n in range(10):
        begin = time.perf_counter()
        worker = zygote.fork(f"w{n}")
        assert worker.receive().kind == _frame.HELLO
        times.append(time.perf_counter() - begin)
    assert sorted(times)[5] < 0.1, times  # a bound for busy machines; bench/ has the number
