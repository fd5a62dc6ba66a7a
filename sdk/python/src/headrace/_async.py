"""Async functions: many at once, in an event loop of its own thread, started with the first task (so never before a fork)."""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from headrace import _frame, _job, _json, _trace
from headrace._batch import Batch
from headrace._errors import HeadraceError
from headrace._function import ArgumentError
from headrace._job import Job

if TYPE_CHECKING:
    from headrace._serve import Entry, Worker


class _Run:
    """One task or batch in the loop."""

    __slots__ = ("flagged", "future", "job", "reason", "step")

    def __init__(self) -> None:
        self.flagged = False
        self.step = 0
        self.reason = ""
        self.job: Job | None = None
        self.future: asyncio.Task[None] | None = None

    @property
    def unwanted(self) -> bool:
        """Whether somebody asked it to end. A job that is cut short runs again: nobody wants it to end."""
        return self.flagged and self.reason != "drain"


class Runner:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._runs: dict[int, _Run] = {}
        self._batches: dict[int, Batch] = {}
        self._submitted = 0  # counted where frames are read
        self._finished = 0  # counted in the loop, after the answer was sent
        self._frames: list[bytes] = []
        self._results: list[bytes] = []
        self._held = 0
        self._ended = 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="headrace-async", daemon=True).start()

    @property
    def outstanding(self) -> int:
        return self._submitted - self._finished

    def submit(self, entry: Entry) -> None:
        self._submitted += 1
        run = self._runs[entry[0]] = _Run()
        self._loop.call_soon_threadsafe(self._begin, entry, run)

    def submit_batch(self, batch: Batch) -> None:
        self._submitted += 1
        run = _Run()
        for task in batch.tasks:
            self._runs[task] = run
            self._batches[task] = batch
        self._loop.call_soon_threadsafe(self._begin_batch, batch, run)

    def cancel(self, task: int, step: int, reason: str) -> bool:
        """Any thread. False if the task is not here."""
        run = self._runs.get(task)
        if run is None:
            return False
        batch = self._batches.get(task)
        if batch is not None:
            if step == 2:
                self._worker.answer_error(task, _trace.plain("cancelled", "Cancelled", reason))
                if not batch.drop(task):
                    return True
            else:
                return True
        run.step, run.reason = step, reason
        run.flagged = True
        if run.job is not None:
            run.job.cancelled = run.unwanted
        if step == 2:
            self._loop.call_soon_threadsafe(self._stop, run)
        return True

    def interrupt(self) -> None:
        """SIGINT: stops again those that were cancelled."""
        for run in list(self._runs.values()):
            if run.flagged:
                self._loop.call_soon_threadsafe(self._stop, run)

    def _stop(self, run: _Run) -> None:
        if run.future is not None:
            run.future.cancel(run.reason)

    # Everything below runs in the loop's thread.

    def _begin(self, entry: Entry, run: _Run) -> None:
        run.future = self._loop.create_task(self._run(entry, run))

    def _begin_batch(self, batch: Batch, run: _Run) -> None:
        run.future = self._loop.create_task(self._run_batch(batch, run))

    async def _run(self, entry: Entry, run: _Run) -> None:
        task, number, meta, data = entry
        function = self._worker.functions[number]
        begin = perf_counter_ns()
        args: dict[str, Any] = {}
        try:
            if run.flagged:
                self._error(task, _trace.plain("cancelled", "Cancelled", run.reason))
                return
            args = function.decode(data)
            job = run.job = Job._of(meta, task, self._worker)
            job.cancelled = run.unwanted
            _job.current.set(job)
            if function.job_parameter is not None:
                args[function.job_parameter] = job
            result: Any = None
            if function.stream:
                async for item in function.call(**args):
                    self._worker.chunk(task, item)
            else:
                result = await function.call(**args)
            self._print(task)
            self._result(task, (perf_counter_ns() - begin) // 1000, _json.encode(result))
        except ArgumentError as error:
            self._error(task, _trace.body(error, "arguments"))
        except asyncio.CancelledError as error:
            self._print(task)
            self._error(task, _trace.body(error, "cancelled" if run.flagged else "error"))
        except BaseException as error:
            from headrace._serve import describe

            self._print(task)
            self._error(task, describe(function, error, args))
        finally:
            self._runs.pop(task, None)
            self._end()

    async def _run_batch(self, batch: Batch, run: _Run) -> None:
        begin = perf_counter_ns()
        failure: BaseException | None = None
        result: Any = None
        tasks = list(batch.tasks)
        args = batch.gather(self._error)
        if batch.tasks:
            _job.batch_task.set(next(iter(batch.tasks)))
            try:
                result = await batch.function.call(**args)
            except BaseException as error:
                failure = error
            self._print(0)
            self._frames.append(batch.answers(result, failure, (perf_counter_ns() - begin) // 1000))
        failure = None
        for task in tasks:
            self._runs.pop(task, None)
            self._batches.pop(task, None)
        self._end()

    def _print(self, task: int) -> None:
        self._worker.finish_output(task)

    def _error(self, task: int, body: bytes) -> None:
        self._frames.append(_frame.encode(_frame.ERROR, task, body))

    def _result(self, task: int, micros: int, value: bytes) -> None:
        if len(value) + 16 > _frame.MAX_BODY:
            raise HeadraceError(f"{len(value)} bytes of JSON, a frame holds {_frame.MAX_BODY}", code="HR6006", hint="return a blob")
        if self._held + len(value) + 16 > _frame.MAX_BODY:
            self._pack()
        self._results.append(_frame.result(task, micros, value))
        self._held += len(value) + 16

    def _pack(self) -> None:
        if self._results:
            self._frames.append(_frame.encode(_frame.RESULT, 0, b"".join(self._results)))
            self._results.clear()
            self._held = 0

    def _end(self) -> None:
        """Answers leave together at the end of this turn of the loop."""
        self._ended += 1
        if self._ended == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._pack()
        data, ended = b"".join(self._frames), self._ended
        self._frames.clear()
        self._ended = 0
        if data:
            self._worker.link.send(data)
        self._finished += ended
        self._worker.async_finished()
