"""App: the registry that the decorators fill."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, ParamSpec, TypeVar

from headrace._event import Event
from headrace._events import Events
from headrace._function import Function, Kind
from headrace._options import Duration, Priority

P = ParamSpec("P")
R = TypeVar("R")
B = TypeVar("B", bound=Callable[..., list[Any] | Awaitable[list[Any]]])


class App(Events):
    """The functions of one app file. A decorated function stays what it was: call it directly in a test."""

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}

    def job(self, *, queue: str | None = None, retries: int | None = None, backoff: Duration | None = None, backoff_max: Duration | None = None,
            timeout: Duration | None = None, queue_timeout: Duration | None = None, expires: Duration | None = None,
            priority: Priority | None = None, key: str | None = None, key_limit: int | None = None, unique: str | None = None,
            unique_policy: Literal["oldest", "newest"] | None = None, tags: Sequence[str] | None = None, route: str | None = None,
            policies: Sequence[str] | None = None, concurrency: int | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A durable job: stored before it is acknowledged, retried, run at least once."""
        return self._decorator("job", dict(
            queue=queue, retries=retries, backoff=backoff, backoff_max=backoff_max, timeout=timeout, queue_timeout=queue_timeout, expires=expires,
            priority=priority, key=key, key_limit=key_limit, unique=unique, unique_policy=unique_policy, tags=tags, route=route,
            policies=policies, concurrency=concurrency))

    def call(self, *, route: str | None = None, policies: Sequence[str] | None = None, timeout: Duration | None = None,
             queue_timeout: Duration | None = None, concurrency: int | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A call: somebody waits for the answer, nothing is stored, nothing is retried."""
        return self._decorator("call", dict(route=route, policies=policies, timeout=timeout, queue_timeout=queue_timeout,
                                             concurrency=concurrency))

    def batch(self, *, size: int | None = None, wait: Duration | None = None, bytes: int | None = None, timeout: Duration | None = None,
              route: str | None = None, policies: Sequence[str] | None = None, concurrency: int | None = None) -> Callable[[B], B]:
        """A function of lists that serves many tasks at once: up to `size` items or `bytes`, gathered for at most `wait`.

        It returns a list with one element per item, in order. An element that is an exception fails only its own item.
        """
        def decorate(function: B) -> B:
            self._add(function, "batch", dict(size=size, wait=wait, bytes=bytes, timeout=timeout, route=route, policies=policies,
                                                   concurrency=concurrency))
            return function

        return decorate

    def cron(self, cron: str, *, timezone: str | None = None, missed: Literal["skip", "once", "all"] | None = None, queue: str | None = None,
             retries: int | None = None, backoff: Duration | None = None, backoff_max: Duration | None = None, timeout: Duration | None = None,
             queue_timeout: Duration | None = None, expires: Duration | None = None, priority: Priority | None = None,
             tags: Sequence[str] | None = None, route: str | None = None, policies: Sequence[str] | None = None,
             concurrency: int | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A job that starts by the clock: minute, hour, day of month, month, day of week. All its arguments need defaults."""
        return self._decorator("job", dict(
            cron=cron, timezone=timezone, missed=missed, queue=queue, retries=retries, backoff=backoff, backoff_max=backoff_max, timeout=timeout,
            queue_timeout=queue_timeout, expires=expires, priority=priority, tags=tags, route=route, policies=policies,
            concurrency=concurrency))

    def _decorator(self, kind: Kind, options: dict[str, Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            self._add(function, kind, options)
            return function

        return decorate

    def _add(self, call: Callable[..., Any], kind: Kind, options: dict[str, Any], event: tuple[Event, str] | None = None) -> None:
        function = Function(call, kind, options, event)
        twin = next((other.name for other in self.functions.values() if event is not None and other.event == event), None)
        if twin is not None:
            raise ValueError(f"{function.name}() and {twin}() both answer {' of '.join(filter(None, event or ()))}")
        if function.name in self.functions:
            raise ValueError(f"{function.name}() is registered twice; the name of a function is its address")
        if "cron" in function.options and function.required:
            raise TypeError(f"{function.name}(): a cron job gets no arguments, so {', '.join(function.required)} needs a default")
        self.functions[function.name] = function
