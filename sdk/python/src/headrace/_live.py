"""Live channels, as functions reach them: publish, who is there, what was published, who must go.

They work in every function that headrace runs. Each waits for headrace's answer; in an async function write
`await asyncio.to_thread(hr.publish, ...)`. Every refusal is an hr.HeadraceError with headrace's code and hint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from headrace import _job
from headrace._event import Publication


class Position(NamedTuple):
    """A place in a channel's history. Offsets count from 1 without gaps; they mean something only with their epoch. A channel without
    history has offset 0."""

    offset: int
    epoch: str


class History(NamedTuple):
    """Publications of a channel, and the place of the newest one it has."""

    publications: list[Publication]
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A connection that is subscribed to a channel."""

    client: str
    user: str = ""
    info: Any = None
    """What the connection tells of the user."""
    channel_info: Any = None
    """What the subscription tells beside it."""


def publish(channel: str, data: Any, *, key: str | None = None, idempotency_key: str | None = None, tags: Mapping[str, str] | None = None,
            version: int | None = None, version_epoch: str | None = None) -> Position:
    """Publishes to the subscribers of a channel. Returns once that is durable, where the channel has history.

    `key` names what the data is about: a channel whose slow subscribers get the latest per key keeps one publication for each. A repetition
    with the same idempotency key is not published again and gives the position of the first. One whose `version` is not above
    that of the channel is left out.
    """
    return _position(_ask("publish", channel=channel, data=data, **_given(key=key, idempotency_key=idempotency_key, tags=tags, version=version,
                                                                        version_epoch=version_epoch)))


def broadcast(channels: Sequence[str], data: Any, *, key: str | None = None, idempotency_key: str | None = None,
              tags: Mapping[str, str] | None = None, version: int | None = None, version_epoch: str | None = None) -> list[Position]:
    """Publishes the same data to many channels; the positions are in their order. An error tells which channel refused it; the others have it."""
    if isinstance(channels, str):
        raise TypeError("broadcast() takes a list of channels; for one there is publish()")
    told = _ask("broadcast", channels=list(channels), data=data, **_given(key=key, idempotency_key=idempotency_key, tags=tags, version=version,
                                                                         version_epoch=version_epoch))
    return [_position(one) for one in told["positions"]]


def presence(channel: str) -> list[Member]:
    """Who is subscribed to a channel whose namespace keeps presence. A user with two connections is there twice."""
    return [Member(client=one["client"], user=one.get("user", ""), info=one.get("info"), channel_info=one.get("channel_info"))
            for one in _ask("presence", channel=channel)["members"]]


def history(channel: str, limit: int = 100, *, since: Position | None = None, reverse: bool = False) -> History:
    """At most `limit` publications after `since` (before it, newest first, with `reverse`), from the oldest (newest) on if not given. With a
    limit of 0 only the position. A `since` of another epoch is refused."""
    told = _ask("history", channel=channel, limit=limit, **_given(since=None if since is None else since._asdict(), reverse=reverse or None))
    return History([Publication.of({"channel": channel, **one}) for one in told["publications"]], _position(told))


def disconnect(*, user: str | None = None, client: str | None = None, code: int | None = None, reason: str | None = None) -> None:
    """Ends the connections of a user, or one connection. The client does not come back, unless the code says so (see hr.Disconnect)."""
    _ask("disconnect", **_whom(user, client), **_given(code=code, reason=reason))


def unsubscribe(channel: str, *, user: str | None = None, client: str | None = None) -> None:
    """Takes a user, or one connection, out of a channel."""
    _ask("unsubscribe", channel=channel, **_whom(user, client))


def _ask(op: str, **fields: Any) -> Any:
    if _job.channel is None:
        raise RuntimeError(f"{op}() asks headrace, which does not run this code; from other programs publish by its HTTP interface")
    return _job.channel.request(_job.channel.asking(), op, fields)


def _whom(user: str | None, client: str | None) -> dict[str, str]:
    if not user and not client:
        raise ValueError("name the user or the client")
    return _given(user=user, client=client)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _position(told: Mapping[str, Any]) -> Position:
    return Position(told.get("offset", 0), told.get("epoch", ""))
