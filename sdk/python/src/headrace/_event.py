"""Events of live clients: what a function is asked about, and what it answers."""

from __future__ import annotations

import inspect
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, Self

from headrace._duration import seconds

Event = Literal["connect", "subscribe", "publish"]


class Request:
    """What an event tells. Members that this SDK does not know are left out, so that a newer headrace may tell more."""

    __slots__ = ()

    @classmethod
    def of(cls, told: Any) -> Self:
        """The request that a JSON object stands for."""
        known = {one.name for one in fields(cls)}  # type: ignore[arg-type]  # every subclass is a dataclass
        return cls(**{name: value for name, value in told.items() if name in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect(Request):
    """A client wants to connect. Where it brought a token, headrace has verified it: `user` and `claims` are of the token."""

    client: str
    """The connection's id."""
    user: str = ""
    """Empty for a client that brought no token."""
    transport: str = ""
    """websocket, sse, http_stream, uni_sse or uni_websocket."""
    protocol: str = "json"
    """json or protobuf."""
    name: str = ""
    """What the client calls itself, such as js."""
    version: str = ""
    data: Any = None
    """What the client sent along."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those of the HTTP request (cookies, authorization), and those that the client put into its connect command, by lower-case name."""
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe(Request):
    """A client wants to subscribe to a channel."""

    channel: str
    client: str
    user: str = ""
    data: Any = None
    """What the client sent along."""
    info: Any = None
    """What the connection's token or on_connect tells others of the user."""
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publication(Request):
    """Data of a channel: one that a client wants to publish, or one of the channel's history."""

    channel: str
    data: Any = None
    """Plain JSON values. What a client published and is no JSON is a string where on_publish is asked, bytes in a history."""
    _: KW_ONLY
    client: str = ""
    """The publishing connection's id; empty if it was published by a function or the API."""
    user: str = ""
    info: Any = None
    """What others are told of the user."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    offset: int = 0
    """Its number in the channel's history; 0 if it has none yet."""
    time: datetime | None = None
    """When it was published."""

    @classmethod
    def of(cls, told: Any) -> Self:
        """The publication that a JSON object stands for; its time is in Unix milliseconds."""
        made = super(Publication, cls).of(told)
        at, binary = told.get("time"), told.get("b64data")
        return made if at is None and binary is None else replace(
            made, time=None if at is None else datetime.fromtimestamp(at / 1000, timezone.utc), data=made.data if binary is None else b64decode(binary))

    def amended(self, data: Any) -> Publication:
        """The same with other data, to be returned by an on_publish function."""
        return replace(self, data=data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """The answer of on_subscribe that tells more than yes."""

    info: Any = None
    """What others in the channel are told of this user, beside what the connection tells."""
    data: Any = None
    """Sent to the client with the reply."""

    def answer(self) -> dict[str, Any]:
        return _given(info=self.info, data=self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The answer of on_connect: who the client is and what it gets at once."""

    user: str | None = None
    """Who it is; as in the token if not given, anonymous if there is none."""
    info: Any = None
    """What others are told of the user, with presence, joins and publications."""
    data: Any = None
    """Sent to the client with the reply."""
    channels: Sequence[str] = ()
    """Channels that it is subscribed to by the server."""
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    """The same with more to tell, by channel."""
    expires: str | timedelta | datetime | None = None
    """When the connection must be refreshed: a time, or a duration from now."""

    def answer(self) -> dict[str, Any]:
        told = _given(user=self.user, info=self.info, data=self.data)
        if self.channels:
            told["channels"] = list(self.channels)
        if self.subscriptions:
            told["subs"] = {channel: one.answer() for channel, one in self.subscriptions.items()}
        if self.expires is not None:
            at = self.expires if isinstance(self.expires, datetime) else datetime.now(timezone.utc) + timedelta(seconds=seconds(self.expires, "expires"))
            told["expire_at"] = int(at.timestamp())
        return told


class Deny(Exception):
    """Raise it in a function of an event, or in one that a client calls, to refuse what the client asked for. The client gets the code and the
    reason, and stays connected; over HTTP it is a problem (HR2020) with the status 403.

    Codes from 400 to 1999 are yours; those below have a published meaning, such as 101 unauthorized, 103 permission denied.
    """

    def __init__(self, reason: str = "permission denied", *, code: int = 103) -> None:
        if not 100 <= code < 2000:
            raise ValueError(f"code is {code}, must be from 100 to 1999")
        super().__init__(reason)
        self.reason = reason
        self.code = code

    def answer(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.reason}}


class Disconnect(Exception):
    """Raise it in a function of an event, or in one that a client calls, to end the connection.

    With a code from 4000 to 4499 the client comes back, with one from 4500 to 4999 it does not; those below have a published meaning,
    such as 3500 invalid token, 3507 permission denied.
    """

    def __init__(self, code: int = 3507, reason: str = "permission denied") -> None:
        if not 3000 <= code < 5000:
            raise ValueError(f"code is {code}, must be from 3000 to 4999")
        super().__init__(reason)
        self.code = code
        self.reason = reason

    def answer(self) -> dict[str, Any]:
        return {"disconnect": {"code": self.code, "reason": self.reason}}


REQUESTS: dict[Event, type[Request]] = {"connect": Connect, "subscribe": Subscribe, "publish": Publication}
_ANSWERS: dict[Event, type[Any]] = {"connect": Session, "subscribe": Subscription, "publish": Publication}


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def pattern(channels: str, where: str) -> str:
    """Checks a pattern of channels: a name, or the beginning of names and a star."""
    if not isinstance(channels, str) or not channels or "*" in channels[:-1]:
        raise ValueError(f'{where}: the channels are {channels!r}, must be a name, or a beginning and a star such as "chat:*"')
    return channels


def answering(event: Event, name: str, call: Callable[..., Any], batch: bool) -> Callable[..., Any]:
    """The function as a worker calls it: refusals and returned objects become the JSON of spec/frame.md section 11."""

    def one(result: Any) -> Any:
        if result is None:
            return {}
        if isinstance(result, (Deny, Disconnect)):
            return result.answer()
        if isinstance(result, _ANSWERS[event]):
            return {"data": result.data} if isinstance(result, Publication) else result.answer()
        error = TypeError(f"{name}() answered with {type(result).__name__}; on_{event} answers with None or hr.{_ANSWERS[event].__name__}, "
                          "or raises hr.Deny or hr.Disconnect")
        if batch:
            return result if isinstance(result, Exception) else error
        raise error

    def every(result: Any) -> Any:
        return [one(item) for item in result] if isinstance(result, (list, tuple)) else result

    def refused(refusal: Deny | Disconnect, args: Mapping[str, Any]) -> Any:
        return [refusal.answer() for _ in next(iter(args.values()))] if batch else refusal.answer()

    shape = every if batch else one
    if inspect.iscoroutinefunction(call):
        async def later(**args: Any) -> Any:
            try:
                return shape(await call(**args))
            except (Deny, Disconnect) as refusal:
                return refused(refusal, args)

        return later

    def now(**args: Any) -> Any:
        try:
            return shape(call(**args))
        except (Deny, Disconnect) as refusal:
            return refused(refusal, args)

    return now
