"""Job: what a running function may ask and tell about its task."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from headrace import _json
from headrace._blob import Blob
from headrace._options import AfterPolicy, Duration, Priority, UniquePolicy, check, followed, moment


class Channel(Protocol):
    """The worker, as a job sees it."""

    spool: str
    draining: bool

    def asking(self) -> int: ...
    def progress(self, task: int, body: bytes) -> None: ...
    def checkpoint(self, task: int, body: bytes) -> None: ...
    def request(self, task: int, op: str, fields: dict[str, Any]) -> Any: ...


class _JobLog(logging.LoggerAdapter[logging.Logger]):
    """Tags records with the task, wherever they are logged from."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs


class Job:
    """One run of a function. `hr.Job()` makes one that talks to nobody, to call functions directly in tests."""

    def __init__(self, id: str = "", *, attempt: int = 1, key: str | None = None, queue: str = "default", tags: tuple[str, ...] = (),
                 deadline: datetime | None = None, parts: tuple[Mapping[str, Any], ...] = (), checkpoint: Any = None, trace: str | None = None,
                 user: str = "", method: str = "", claims: Mapping[str, Any] | None = None, client: str = "") -> None:
        self.id = id
        self.attempt = attempt
        self.key = key
        self.queue = queue
        self.tags = tags
        self.deadline = deadline
        self.parts = parts
        self.trace = trace  # W3C traceparent of this run, to continue in the function's own spans
        self.user = user  # who asks, where the route has an auth policy, or of the live client that calls; empty for anonymous ones
        self.method = method  # how that is known: jwt, key, basic, oidc, mtls, forward, function; empty where no policy was asked
        self.claims: Mapping[str, Any] = claims or {}  # what is said of the user, as plain JSON values
        self.client = client  # id of the live client's connection
        self.cancelled = False
        self._checkpoint = checkpoint
        self._task = 0
        self._channel: Channel | None = None

    @classmethod
    def _of(cls, meta: bytes, task: int, channel: Channel) -> Job:
        """The job of a task, from its meta."""
        known = _json.decode(meta) if meta else {}
        deadline = known.get("deadline")
        job = cls(known.get("id", ""), attempt=known.get("attempt", 1), key=known.get("key"), queue=known.get("queue", "default"),
                  tags=tuple(known.get("tags") or ()), deadline=None if deadline is None else datetime.fromtimestamp(deadline, timezone.utc),
                  parts=tuple(known.get("parts") or ()), checkpoint=known.get("checkpoint"), trace=known.get("trace"),
                  user=known.get("user", ""), method=known.get("method", ""), claims=known.get("claims"), client=known.get("client", ""))
        job._task = task
        job._channel = channel
        return job

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose lines belong to this job, from debug upwards."""
        return _JobLog(_logger, {"headrace_task": self._task})

    @property
    def stopping(self) -> bool:
        """Whether this worker is asked to go: headrace stops, or replaces it. A job that takes long leaves a checkpoint then and raises
        `hr.Interrupted`, or ends within the grace of its pool; after that it is cut short."""
        return self._channel is not None and self._channel.draining

    def remaining(self) -> float:
        """Seconds until the deadline, never negative; infinity if there is none."""
        return float("inf") if self.deadline is None else max(0.0, self.deadline.timestamp() - time.time())

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Tells how far it is. Each call is sent at once, so a few times a second is plenty."""
        body: dict[str, Any] = {"done": done}
        if total is not None:
            body["total"] = total
        if note is not None:
            body["note"] = note
        data = _json.encode(body)
        if self._channel is not None:
            self._channel.progress(self._task, data)

    def checkpoint(self, value: Any) -> None:
        """Stores where it is; the next attempt gets it from resume(). Replaces the one before."""
        data = _json.encode(value)
        self._checkpoint = _json.decode(data)
        if self._channel is not None:
            self._channel.checkpoint(self._task, data)

    def resume(self) -> Any:
        """The last checkpoint, of this or an earlier attempt, as plain JSON values; None if there is none."""
        return self._checkpoint

    def enqueue(self, function: str | Callable[..., Any], args: Mapping[str, Any] | None = None, /, *, queue: str | None = None,
                delay: Duration | None = None, run_at: datetime | None = None, priority: Priority | None = None, key: str | None = None,
                key_limit: int | None = None, unique: str | None = None, unique_policy: UniquePolicy | None = None, retries: int | None = None,
                timeout: Duration | None = None, expires: Duration | None = None, tags: list[str] | None = None,
                after: Sequence[str] | None = None, after_policy: AfterPolicy | None = None, idempotency_key: str | None = None,
                **named: Any) -> str:
        """Enqueues another job and returns its id once it is stored. Arguments are given by name; one that is called like
        an option goes into the mapping `args`. With `after` it runs when the jobs of these ids have ended; their outcomes are its
        `parts`. If one of them fails it is cancelled, unless `after_policy` is "continue". With an `idempotency_key` such as f"{job.id}/mail"
        another attempt of this job enqueues it no second time."""
        name = function if isinstance(function, str) else function.__name__
        options = check(dict(queue=queue, delay=delay, priority=priority, key=key, key_limit=key_limit, unique=unique, unique_policy=unique_policy,
                             retries=retries, timeout=timeout, expires=expires, tags=tags, idempotency_key=idempotency_key), f"enqueue {name}()")
        if run_at is not None:
            options["run_at"] = moment(run_at)
        options |= followed(after, after_policy)
        reply = self._reach().request(self._task, "enqueue", {"function": name, "args": {**(args or {}), **named}, "options": options})
        return str(reply["id"])

    def blob(self, data: bytes | bytearray | memoryview | str | Path, *, name: str | None = None, type: str | None = None,
             move: bool = False) -> Blob:
        """Stores bytes, or the file at a path, and returns the blob to hand on or return. A file is copied; `move=True` gives
        it away, which costs nothing on the same disk."""
        from headrace import _spool

        channel = self._reach()
        path, name = _spool.put(Path(channel.spool), data, name, move)
        fields: dict[str, Any] = {"path": str(path), "type": type or _spool.content_type(name)}
        if name:
            fields["name"] = name
        try:
            return Blob.of(channel.request(self._task, "blob", fields))
        finally:
            path.unlink(missing_ok=True)  # still there only if headrace refused it

    def _reach(self) -> Channel:
        if self._channel is None:
            raise RuntimeError("this job is not run by headrace, so it has nobody to ask")
        return self._channel


_logger = logging.Logger("headrace.job", logging.DEBUG)
current: ContextVar[Job] = ContextVar("headrace_job")
channel: Channel | None = None  # set by the worker
batch_task: ContextVar[int] = ContextVar("headrace_batch_task")  # one of an async batch's tasks
sync_job: Callable[[], Job | None] = lambda: None  # set by the worker: the job of the main thread


def current_job() -> Job:
    """The job of the function that is running; RuntimeError if none is."""
    job = current.get(None) or sync_job()
    if job is None:
        raise RuntimeError("current_job(): no job is running here")
    return job
