"""The decorators of live events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, overload

from headrace._event import Event, Publication, Session, Subscription, pattern
from headrace._function import Kind
from headrace._options import Duration

OnConnect = TypeVar("OnConnect", bound=Callable[..., Session | None | Awaitable[Session | None]])
OnSubscribe = TypeVar("OnSubscribe", bound=Callable[..., Subscription | None | Awaitable[Subscription | None]])
_Each = Sequence[Publication | Exception | None]
OnPublish = TypeVar("OnPublish", bound=Callable[..., Publication | None | _Each | Awaitable[Publication | None] | Awaitable[_Each]])


class Events:
    """Functions that headrace asks before it lets a live client do something. Each answers None to allow it, an object to say more, or raises
    hr.Deny or hr.Disconnect. Any other exception refuses it too, as an internal error. Without a timeout it has 10 s.

    Where several fit a channel, the one with the longest pattern is asked, and a whole name goes before a pattern.
    """

    def _add(self, call: Callable[..., Any], kind: Kind, options: dict[str, Any], event: tuple[Event, str] | None = None) -> None:
        raise NotImplementedError

    @overload
    def on_connect(self, function: OnConnect, /) -> OnConnect: ...
    @overload
    def on_connect(self, *, timeout: Duration | None = None, queue_timeout: Duration | None = None,
                   concurrency: int | None = None) -> Callable[[OnConnect], OnConnect]: ...
    def on_connect(self, function: Callable[..., Any] | None = None, *, timeout: Duration | None = None, queue_timeout: Duration | None = None,
                   concurrency: int | None = None) -> Any:
        """Asked with an hr.Connect when a client connects, with or without a token. May answer with an hr.Session."""
        def decorate(call: Callable[..., Any]) -> Callable[..., Any]:
            self._add(call, "call", dict(timeout=timeout, queue_timeout=queue_timeout, concurrency=concurrency), ("connect", ""))
            return call

        return decorate if function is None else decorate(function)

    def on_subscribe(self, channels: str, *, timeout: Duration | None = None, queue_timeout: Duration | None = None,
                     concurrency: int | None = None) -> Callable[[OnSubscribe], OnSubscribe]:
        """Asked with an hr.Subscribe when a client wants one of the channels: a name, or a beginning and a star. May answer with an
        hr.Subscription."""
        def decorate(call: OnSubscribe) -> OnSubscribe:
            self._add(call, "call", dict(timeout=timeout, queue_timeout=queue_timeout, concurrency=concurrency),
                      ("subscribe", pattern(channels, "on_subscribe")))
            return call

        return decorate

    def on_publish(self, channels: str, *, batch: int | None = None, wait: Duration | None = None, timeout: Duration | None = None,
                   queue_timeout: Duration | None = None, concurrency: int | None = None) -> Callable[[OnPublish], OnPublish]:
        """Asked with an hr.Publication when a client wants to publish to one of the channels. May answer with an amended one.

        With `batch` it is a function of lists that takes up to so many publications at once, gathered for at most `wait`, and returns
        one answer for each, in order; there an hr.Deny or hr.Disconnect is an element and refuses only its own.
        """
        if batch is None and wait is not None:
            raise ValueError("on_publish: wait is how long a batch gathers; give batch too")
        if batch is not None and queue_timeout is not None:
            raise ValueError("on_publish: a batch has no queue_timeout")

        def decorate(call: OnPublish) -> OnPublish:
            options = dict(size=batch, wait=wait, timeout=timeout, queue_timeout=queue_timeout, concurrency=concurrency)
            self._add(call, "call" if batch is None else "batch", options, ("publish", pattern(channels, "on_publish")))
            return call

        return decorate
