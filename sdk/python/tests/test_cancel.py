"""The cancel ladder, over a real process and real signals."""

from __future__ import annotations

import os
import signal

import pytest
from conftest import Start
from supervisor import TaskFailed, task_entry

from headrace import _frame

APP = """
        import asyncio
        import time
        app = hr.App()

        @app.job()
        def quick() -> int: return 1

        @app.job()
        def polite(job: hr.Job) -> str:
            job.progress(0)
            while not job.cancelled: time.sleep(0.001)
            return "stopped"

        @app.job()
        async def async_polite(job: hr.Job) -> str:
            job.progress(0)
            while not job.cancelled: await asyncio.sleep(0.001)
            return "stopped"

        @app.job()
        def willing(job: hr.Job) -> None:
            job.progress(0)
            while not job.stopping: time.sleep(0.001)
            raise hr.Interrupted(f"cancelled is {job.cancelled}")

        @app.job()
        async def async_willing(job: hr.Job) -> None:
            job.progress(0)
            while not job.stopping: await asyncio.sleep(0.001)
            raise hr.Interrupted(f"cancelled is {job.cancelled}")

        @app.job()
        def deaf(job: hr.Job) -> None:
            try:
                job.progress(0)
                while True:
                    try: time.sleep(60)
                    except Exception: pass
            finally:
                print("cleaned")

        @app.job()
        def stubborn(job: hr.Job) -> None:
            try:
                job.progress(0)
                time.sleep(60)
            except hr.Cancelled: pass
            job.progress(1)
            time.sleep(60)

        @app.job()
        def spin(job: hr.Job, n: int) -> None:
            job.progress(0)
            while True: n += 1

        @app.job()
        def chatty(job: hr.Job) -> None:
            while True:
                job.progress(1)
                print("x" * 100)

        @app.job()
        def waiting(job: hr.Job) -> str:
            return job.enqueue("quick")

        @app.job()
        def stream(job: hr.Job):
            n = 0
            while True:
                n += 1
                yield n

        @app.batch()
        def slow(xs: list[int]) -> list[int]:
            print("in")
            time.sleep(60)
            return xs
"""


def cancelled(worker: object, task: int) -> dict[str, object]:
    with pytest.raises(TaskFailed) as caught:
        worker.outcome(task)  # type: ignore[attr-defined]
    body: dict[str, object] = caught.value.body
    assert body["kind"] == "cancelled", body
    return body


def test_step_1_is_a_flag(start: Start) -> None:
    worker = start(APP)
    task = worker.submit("polite")
    worker.kind(_frame.PROGRESS, task)
    worker.cancel(task)
    assert worker.outcome(task) == "stopped"
    assert worker.run("quick") == 1


@pytest.mark.parametrize("name", ["willing", "async_willing"])
def test_a_drain_is_told_to_who_looks(start: Start, name: str) -> None:
    worker = start(APP)
    task = worker.submit(name)
    worker.kind(_frame.PROGRESS, task)
    worker.send(_frame.DRAIN)
    os.kill(worker.pid, signal.SIGUSR1)
    with pytest.raises(TaskFailed) as caught:
        worker.outcome(task)
    assert (caught.value.body["kind"], caught.value.body["message"]) == ("interrupted", "cancelled is False")
    worker.ended()
    assert worker.process.wait(10) == 0


@pytest.mark.parametrize("name", ["polite", "async_polite"])
def test_who_is_cut_short_was_not_cancelled(start: Start, name: str) -> None:
    worker = start(APP)
    task = worker.submit(name)
    worker.kind(_frame.PROGRESS, task)
    worker.cancel(task, 1, "drain")
    worker.cancel(task, 2, "drain")
    assert cancelled(worker, task)["message"] == "drain"


@pytest.mark.parametrize("name", ["deaf", "spin", "chatty", "stream"])
def test_step_2_raises(start: Start, name: str) -> None:
    worker = start(APP)
    task = worker.submit(name, {"n": 1} if name == "spin" else {})
    worker.receive(lambda f: f.stream == task)
    worker.cancel(task, 1)
    worker.cancel(task, 2, "timeout")
    error = cancelled(worker, task)
    assert error["type"] == "Cancelled" and error["message"] == "timeout"
    assert "headrace" not in str(error["traceback"]).replace("headrace._errors.Cancelled", "")
    if name == "deaf":
        assert worker.logs(task) == ["cleaned"]
    assert worker.run("quick") == 1


def test_interrupt_after_a_swallowed_cancel(start: Start) -> None:
    worker = start(APP)
    task = worker.submit("stubborn")
    worker.kind(_frame.PROGRESS, task)
    worker.cancel(task, 2)
    worker.kind(_frame.PROGRESS, task)
    os.kill(worker.pid, signal.SIGINT)
    cancelled(worker, task)
    assert worker.run("quick") == 1


def test_interrupt_without_cancel_is_an_error(start: Start) -> None:
    worker = start(APP)
    task = worker.submit("deaf")
    worker.kind(_frame.PROGRESS, task)
    os.kill(worker.pid, signal.SIGINT)
    with pytest.raises(TaskFailed) as caught:
        worker.outcome(task)
    assert (caught.value.body["kind"], caught.value.body["type"]) == ("error", "KeyboardInterrupt")


def test_task_that_has_not_begun_is_answered_at_once(start: Start) -> None:
    worker = start(APP)
    running = worker.submit("polite")
    worker.kind(_frame.PROGRESS, running)
    same, other = worker.number(), worker.number()
    worker.send(_frame.TASK, 0, task_entry(same, worker.names["quick"]) + task_entry(other, worker.names["quick"]))
    worker.cancel(same)
    assert cancelled(worker, same)["message"] == "cancelled"
    worker.cancel(running)
    assert worker.outcome(running) == "stopped"
    assert worker.outcome(other) == 1


def test_cancel_while_it_waits_for_a_reply(start: Start) -> None:
    worker = start(APP)
    task = worker.submit("waiting")
    asked = worker.kind(_frame.REQUEST, task).json
    worker.cancel(task, 2)
    worker.send(_frame.REPLY, task, {"id": asked["id"], "ok": {"id": "j"}})
    cancelled(worker, task)
    assert worker.run("quick") == 1


def test_batch_items_leave_one_by_one(start: Start) -> None:
    from supervisor import batch_body

    worker = start(APP)
    worker.send(_frame.BATCH, 0, batch_body(worker.names["slow"], [(1, {"xs": 1}), (2, {"xs": 2})]))
    worker.kind(_frame.LOG)
    worker.cancel(1, 2)
    cancelled(worker, 1)
    worker.cancel(2, 2)
    cancelled(worker, 2)
    assert worker.run("quick") == 1


def test_signals_when_idle_or_for_nobody(start: Start) -> None:
    worker = start(APP)
    os.kill(worker.pid, signal.SIGINT)
    os.kill(worker.pid, signal.SIGUSR1)
    worker.cancel(12345, 2)
    assert worker.run("quick") == 1
    worker.cancel(1, 2)
    os.kill(worker.pid, signal.SIGINT)
    assert worker.run("quick") == 1
    assert worker.drain() == 0


def test_a_storm_of_cancels_loses_no_answer(start: Start) -> None:
    """Signals at every moment: each task is answered once, no frame is damaged, the worker lives."""
    worker = start(APP)
    for _ in range(300):
        task = worker.submit("quick")
        worker.cancel(task, 2)
        try:
            assert worker.outcome(task) == 1
        except TaskFailed as failed:
            assert failed.body["kind"] == "cancelled"
    assert worker.run("quick") == 1
    assert worker.drain() == 0
