"""The worker: takes tasks from the link, runs them one after another in the main thread, answers.

The main thread holds the shield always, except while user code runs. So a signal can raise only inside user code.
"""

from __future__ import annotations

import itertools
import os
import platform
import signal
import threading
from collections import deque
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from headrace import _frame, _job, _json, _trace
from headrace._app import App
from headrace._batch import Batch
from headrace._errors import Cancelled, HeadraceError
from headrace._frame import ProtocolError
from headrace._function import ArgumentError, Function
from headrace._job import Job
from headrace._link import Link
from headrace._output import Outlet, Output

if TYPE_CHECKING:
    from headrace._async import Runner

HOLD_NS = 2_000_000  # a finished result is sent at most this much later
QUICK_NS = 500_000  # a function whose last run took less may start while results are held

Entry = tuple[int, int, bytes, bytes]  # task, function, meta, args


def hello(app: App, target: str) -> bytes:
    """The hello frame. It tells the pid, so it is made after a fork."""
    from headrace import __version__

    return _frame.encode(_frame.HELLO, 0, _json.encode({
        "protocol": _frame.VERSION, "sdk": f"python {__version__}", "runtime": f"{platform.python_implementation()} {platform.python_version()}",
        "pid": os.getpid(), "app": target, "functions": [function.describe() for function in app.functions.values()]}))


class Worker:
    def __init__(self, link: Link, app: App, outlet: Outlet, out: Output, err: Output) -> None:
        self.link = link
        self.functions = list(app.functions.values())
        self.spool = ""
        self.welcomed = False
        self.draining = False
        self.inbox: deque[Entry | Batch | None] = deque()  # None ends a frame
        self.task = 0  # what runs in the main thread: its number, meta, Job if somebody asked for it
        self.batch: Batch | None = None
        self._meta = b""
        self._job: Job | None = None
        self._flagged = False
        self._unwanted = False
        self._due: BaseException | None = None  # to be raised in user code
        self._results: list[bytes] = []
        self._held = 0  # bytes of results
        self._first_ns = 0
        self._replies: dict[int, dict[str, Any] | None] = {}
        self._ids = itertools.count(1)
        self._runner: Runner | None = None
        self._idle = False
        self._out, self._err = out, err
        self._outlet = outlet
        link.handle = self._handle
        link.shield.lifted = self._lifted
        outlet.task = self._task_here

    # The loop.

    def serve(self, greeting: bytes) -> int:
        """Greets, works until it is drained, returns the exit code."""
        shield = self.link.shield
        shield.depth = 1
        _job.sync_job = self._job_here
        _job.channel = self
        signal.signal(signal.SIGUSR1, self._on_cancel)
        signal.signal(signal.SIGINT, self._on_interrupt)
        os.register_at_fork(after_in_child=self._forked)
        self.link.send(greeting)
        self.link.read_until(lambda: self.welcomed or self.draining)
        self._outlet.link = self.link
        self.link.send(_frame.credit(max((f.options.get("concurrency", 100) for f in self.functions if f.asynchronous), default=1)))
        inbox = self.inbox
        while True:
            if shield.signalled:
                shield.signalled = False
                self.link.poll()
            if not inbox:
                self._flush()
                self._idle = True
                self.link.read_until(self._wanted)
                self._idle = False
                if not inbox:
                    # The signal behind the drain frame may come while Python ends, which gives handlers back, but not this.
                    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
                    return 0
            entry = inbox.popleft()
            if entry is None:
                self._flush()
            elif type(entry) is tuple:
                self._run(entry)
            else:
                assert isinstance(entry, Batch)
                self._run_batch(entry)

    def _forked(self) -> None:
        """In a process that user code forked, as multiprocessing does: it has no part in the conversation."""
        self._outlet.link = None
        _job.channel = None
        self.link.sock.close()
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _wanted(self) -> bool:
        return bool(self.inbox) or (self.draining and (self._runner is None or not self._runner.outstanding))

    def _run(self, entry: Entry) -> None:
        task, number, meta, data = entry
        function = self.functions[number]
        shield = self.link.shield
        if self._results and not function.quick:
            self._flush()
        failure: BaseException | None = None
        result: Any = None
        self._due, self._flagged, self._job, self._meta = None, False, None, meta
        begin = perf_counter_ns()
        try:
            args = function.decode(data)
        except ArgumentError as error:
            self.answer_error(task, _trace.body(error, "arguments"))
            return
        self.task = task
        if function.job_parameter is not None:
            args[function.job_parameter] = self._job_here()
        try:
            try:
                shield.depth = 0
                if shield.signalled:
                    self._lifted()
                result = function.call(**args)
                if function.stream:
                    for item in result:
                        self.chunk(task, item)
                    result = None
                shield.depth = 1
            except BaseException as error:
                shield.depth = 1
                failure = error
        except BaseException as error:  # a signal between the failure and the shield
            shield.depth = 1
            failure = error
        now = perf_counter_ns()
        function.quick = now - begin < QUICK_NS
        if self._out.dirty or self._err.dirty:
            self.finish_output(task)
        self.task = 0
        self._job = None
        if failure is None:
            try:
                self._answer(task, (now - begin) // 1000, _json.encode(result), now)
                return
            except (_json.Unencodable, HeadraceError) as error:
                failure = error
        self.answer_error(task, describe(function, failure, args))
        del failure

    def _run_batch(self, batch: Batch) -> None:
        shield = self.link.shield
        self._flush()
        self._due = None
        begin = perf_counter_ns()
        args = batch.gather(self.answer_error)
        if not batch.tasks:
            return
        failure: BaseException | None = None
        result: Any = None
        self.batch = batch
        try:
            try:
                shield.depth = 0
                if shield.signalled:
                    self._lifted()
                result = batch.function.call(**args)
                shield.depth = 1
            except BaseException as error:
                shield.depth = 1
                failure = error
        except BaseException as error:
            shield.depth = 1
            failure = error
        self.batch = None
        self.finish_output(0)
        frames = batch.answers(result, failure, (perf_counter_ns() - begin) // 1000)
        self.link.send(frames)
        del failure

    # Answers.

    def _answer(self, task: int, micros: int, value: bytes, now: int) -> None:
        size = len(value) + 16
        if size > _frame.MAX_BODY:
            raise too_large(value)
        if self._held + size > _frame.MAX_BODY:
            self._flush()
        if not self._results:
            self._first_ns = now
        self._results.append(_frame.RESULT_HEAD.pack(task, min(micros, 0xFFFFFFFF), len(value)) + value)
        self._held += size
        if now - self._first_ns > HOLD_NS:
            self._flush()

    def _flush(self) -> None:
        if self._results:
            body = b"".join(self._results)
            self._results.clear()
            self._held = 0
            self.link.send(_frame.encode(_frame.RESULT, 0, body))

    def answer_error(self, task: int, body: bytes) -> None:
        self.link.send(_frame.encode(_frame.ERROR, task, body))

    def _tell(self, kind: int, task: int, body: bytes) -> None:
        if len(body) > _frame.MAX_BODY:
            raise too_large(body)
        self.link.send(_frame.encode(kind, task, body))

    def finish_output(self, task: int) -> None:
        """Sends what a task printed without a line end."""
        self._out.finish(task)
        self._err.finish(task)

    def chunk(self, task: int, item: Any) -> None:
        self._tell(_frame.CHUNK, task, _json.encode(item))

    def progress(self, task: int, body: bytes) -> None:
        self._tell(_frame.PROGRESS, task, body)

    def checkpoint(self, task: int, body: bytes) -> None:
        self._tell(_frame.CHECKPOINT, task, body)

    def request(self, task: int, op: str, fields: dict[str, Any]) -> Any:
        """Asks headrace and waits for the reply."""
        number = next(self._ids) & 0xFFFFFFFF
        body = _json.encode({"id": number, "op": op, **fields})
        with self.link.shield:
            if self.link.shield.main():
                self._flush()
            self._replies[number] = None
            try:
                self._tell(_frame.REQUEST, task, body)
                self.link.read_until(lambda: self._replies[number] is not None)
            finally:
                reply = self._replies.pop(number)
        assert reply is not None
        error = reply.get("error")
        if error is not None:
            raise HeadraceError(error.get("message", op), code=error.get("code", ""), hint=error.get("hint", ""))
        return reply.get("ok")

    # The task of the main thread.

    def _task_here(self) -> int:
        job = _job.current.get(None)
        return self.task if job is None else job._task

    def asking(self) -> int:
        """The task in whose name the running code asks; for a batch any of its tasks."""
        task = self._task_here() or _job.batch_task.get(0)
        batch = self.batch
        return task or next(iter(batch.tasks), 0) if batch is not None else task

    def _job_here(self) -> Job | None:
        if self._job is None and self.task:
            self._job = Job._of(self._meta, self.task, self)
            self._job.cancelled = self._flagged and self._unwanted
        return self._job

    # Frames, in whatever thread read them.

    def _handle(self, kind: int, stream: int, body: bytes) -> None:
        if kind == _frame.TASK:
            self._take_tasks(body)
        elif kind == _frame.CANCEL:
            told = _json.decode(body)
            self._cancel(stream, told["step"], told["reason"])
        elif kind == _frame.REPLY:
            reply = _json.decode(body)
            if reply["id"] in self._replies:
                self._replies[reply["id"]] = reply
        elif kind == _frame.PING:
            self.link.send(_frame.pong(body))
        elif kind == _frame.BATCH:
            number, items = _frame.batch(body)
            batch = Batch(self._function(number), items)
            if batch.function.asynchronous:
                self._async().submit_batch(batch)
            else:
                self.inbox.append(batch)
        elif kind == _frame.DRAIN:
            self.draining = True
        elif kind == _frame.WELCOME:
            told = _json.decode(body)
            if told["protocol"] != _frame.VERSION:
                raise ProtocolError(f"headrace speaks protocol {told['protocol']}, this SDK {_frame.VERSION}")
            self.spool = told.get("spool", "")
            self.welcomed = True
        else:
            raise ProtocolError(f"frame kind {kind} is not for a worker")

    def _take_tasks(self, body: bytes) -> None:
        inbox = self.inbox
        queued = False
        for entry in _frame.tasks(body):
            if self._function(entry[1]).asynchronous:
                self._async().submit(entry)
            else:
                inbox.append(entry)
                queued = True
        if queued:
            inbox.append(None)

    def _function(self, number: int) -> Function:
        if number >= len(self.functions):
            raise ProtocolError(f"function {number}, but there are {len(self.functions)}")
        return self.functions[number]

    def _async(self) -> Runner:
        if self._runner is None:
            from headrace._async import Runner

            self._runner = Runner(self)
        return self._runner

    def async_finished(self) -> None:
        """Called by the loop's thread after each flush: ends the main thread's wait if that was the last."""
        if self.draining and self._idle and self._runner is not None and not self._runner.outstanding:
            self.link.stop_reading()

    def _cancel(self, task: int, step: int, reason: str) -> None:
        batch = self.batch
        if task == self.task and task:
            self._flagged = True
            self._unwanted = reason != "drain"  # a job that is cut short runs again: nobody wants it to end
            if self._job is not None:
                self._job.cancelled = self._unwanted
            if step == 2:
                self._raise_in_main(Cancelled(reason))
        elif batch is not None and task in batch.tasks:
            if step == 2:
                self._answer_cancelled(task, reason)
                if batch.drop(task):
                    self._raise_in_main(Cancelled(reason))
        elif self._runner is not None and self._runner.cancel(task, step, reason):
            pass
        else:
            self._cancel_waiting(task, reason)

    def _cancel_waiting(self, task: int, reason: str) -> None:
        for entry in list(self.inbox):
            if isinstance(entry, Batch):
                if task in entry.tasks:
                    entry.drop(task)
                    self._answer_cancelled(task, reason)
                    return
            elif entry is not None and entry[0] == task:
                try:
                    self.inbox.remove(entry)
                except ValueError:
                    return
                self._answer_cancelled(task, reason)
                return

    def _answer_cancelled(self, task: int, reason: str) -> None:
        self.answer_error(task, _trace.plain("cancelled", "Cancelled", reason))

    # Signals.

    def _raise_in_main(self, error: BaseException) -> None:
        self._due = error
        if not self.link.shield.main():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _on_cancel(self, *_: object) -> None:
        self.link.shield.signalled = True
        if not self.link.shield.depth:
            self._lifted()

    def _on_interrupt(self, *_: object) -> None:
        if self.task or self.batch is not None:
            self._due = Cancelled("interrupted") if self._flagged else KeyboardInterrupt()
            if not self.link.shield.depth:
                self._lifted()
        elif self._runner is not None:
            self._runner.interrupt()

    def _lifted(self) -> None:
        """The shield has been lifted, or a signal came while there was none: user code is running."""
        shield = self.link.shield
        while shield.signalled:
            shield.signalled = False
            shield.depth += 1
            try:
                self.link.poll()
            finally:
                shield.depth -= 1
        if self._due is not None:
            due, self._due = self._due, None
            raise due


def describe(function: Function, error: BaseException, args: dict[str, Any]) -> bytes:
    """The error frame's body for what a run raised."""
    if isinstance(error, _json.Unencodable):
        return _trace.plain("unencodable", "Unencodable", f"{function.name}() returned what cannot be encoded: {error}")
    if isinstance(error, HeadraceError) and error.code == "HR6006":
        return _trace.body(error, "unencodable")
    trace = error.__traceback__
    if isinstance(error, TypeError) and trace is not None and trace.tb_next is None:  # raised by the call itself
        given = {name: value for name, value in args.items() if name != function.job_parameter}
        return _trace.plain("arguments", "TypeError", function.misfit(given) or str(error))
    return _trace.body(error)


def too_large(data: bytes) -> HeadraceError:
    return HeadraceError(f"{len(data)} bytes of JSON, a frame holds {_frame.MAX_BODY}", code="HR6006", hint="hand it over with job.blob(data)")
