"""Async functions: at once, streamed, cancelled, drained, beside sync ones."""

from __future__ import annotations

import struct

import pytest
from conftest import Start
from supervisor import TaskFailed, batch_body, task_entry

from headrace import _frame

APP = """
        import asyncio, time
        app = hr.App()
        gate = None

        @app.call(concurrency=50)
        async def meet(n: int) -> int:
            "Returns when all n are here."
            global gate, here
            if gate is None: gate, here = asyncio.Event(), 0
            here += 1
            if here == n: gate.set()
            await gate.wait()
            return here

        @app.job()
        async def pause(job: hr.Job) -> None:
            print("begun")
            try: await asyncio.sleep(60)
            finally: print("cleaned")

        @app.job()
        async def short() -> int:
            print(hr.current_job().id)
            await asyncio.sleep(0.05)
            return 1

        @app.job()
        async def watch(job: hr.Job) -> str:
            job.progress(0)
            while not job.cancelled: await asyncio.sleep(0.001)
            return "seen"

        @app.job()
        async def stream(n: int):
            for i in range(n):
                await asyncio.sleep(0)
                yield i

        @app.job()
        async def boom() -> None:
            raise SystemExit(4)

        @app.job()
        async def ask(job: hr.Job) -> str:
            return await asyncio.to_thread(job.enqueue, "short")

        @app.job()
        def ask_from_thread(job: hr.Job) -> str:
            from concurrent.futures import ThreadPoolExecutor
            with ThreadPoolExecutor(4) as pool:
                return ",".join(pool.map(lambda n: job.enqueue("short"), range(4)))

        @app.job()
        def block(job: hr.Job) -> int:
            job.progress(0)
            time.sleep(0.2)
            return 2

        @app.batch()
        async def twice(xs: list[int]) -> list[int]:
            await asyncio.sleep(0)
            return [2 * x for x in xs]
"""


def test_many_at_once(start: Start) -> None:
    worker = start(APP, greet=False)
    worker.greet()
    assert worker.credit() == 100
    worker.send(_frame.TASK, 0, b"".join(task_entry(n, worker.names["meet"], {"n": 50}) for n in range(1, 51)))
    assert [worker.outcome(n) for n in range(1, 51)] == [50] * 50


def test_stream_error_batch(start: Start) -> None:
    worker = start(APP)
    task = worker.submit("stream", {"n": 3})
    assert worker.outcome(task) is None
    assert [f.json for f in worker.seen if f.kind == _frame.CHUNK] == [0, 1, 2]
    error = worker.fails("boom")
    assert error["type"] == "SystemExit" and "in boom" in error["traceback"] and "_async" not in error["traceback"]
    assert worker.fails("meet", {"n": "x"})["kind"] == "arguments"
    assert worker.fails("meet", {})["kind"] == "arguments"
    worker.send(_frame.BATCH, 0, batch_body(worker.names["twice"], [(901, {"xs": 1}), (902, {"xs": 2})]))
    assert (worker.outcome(901), worker.outcome(902)) == (2, 4)


def test_prints_belong_to_their_task(start: Start) -> None:
    worker = start(APP)
    tasks = [worker.submit("short", {}, {"id": f"j{n}"}) for n in range(5)]
    for n, task in enumerate(tasks):
        assert worker.outcome(task) == 1
        assert worker.logs(task) == [f"j{n}"]


def test_cancel(start: Start) -> None:
    worker = start(APP)
    watch, pause = worker.submit("watch"), worker.submit("pause")
    worker.kind(_frame.PROGRESS, watch)
    worker.kind(_frame.LOG, pause)
    worker.cancel(watch, 1)
    assert worker.outcome(watch) == "seen"
    worker.cancel(pause, 2)
    with pytest.raises(TaskFailed) as caught:
        worker.outcome(pause)
    assert caught.value.body["kind"] == "cancelled"
    assert worker.logs(pause) == ["begun", "cleaned"]


def test_sync_beside_async(start: Start) -> None:
    worker = start(APP)
    blocked = worker.submit("block")
    worker.kind(_frame.PROGRESS, blocked)
    short = worker.submit("short")
    assert worker.outcome(blocked) == 2
    assert worker.outcome(short) == 1


@pytest.mark.parametrize(("name", "count"), [("ask", 1), ("ask_from_thread", 4)])
def test_requests_from_other_threads(start: Start, name: str, count: int) -> None:
    worker = start(APP)
    task = worker.submit(name)
    for n in range(count):
        asked = worker.kind(_frame.REQUEST, task).json
        worker.send(_frame.REPLY, task, {"id": asked["id"], "ok": {"id": "j"}})
    assert worker.outcome(task) == ",".join("j" * count)


def test_drain_waits_for_async(start: Start) -> None:
    worker = start(APP)
    tasks = [worker.submit("short") for _ in range(5)]
    assert worker.drain() == 0
    ended = b"".join(f.body for f in worker.seen if f.kind == _frame.RESULT)
    assert sorted(struct.unpack_from("<Q", ended, at)[0] for at in range(0, len(ended), 17)) == tasks
    again = start(APP, file="app2.py")
    again.run("short")
    assert again.drain() == 0
