"""Frames: the header, the containers, and a reader that takes bytes as they come. The contract is spec/frame.md."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final

VERSION: Final = 1
MAX_BODY: Final = 16 << 20
MAX_PING: Final = 1024

HELLO: Final = 1
WELCOME: Final = 2
TASK: Final = 3
BATCH: Final = 4
CREDIT: Final = 5
PROGRESS: Final = 6
CHUNK: Final = 7
LOG: Final = 8
CHECKPOINT: Final = 9
RESULT: Final = 10
ERROR: Final = 11
CANCEL: Final = 12
DRAIN: Final = 13
PING: Final = 14
PONG: Final = 15
REQUEST: Final = 16
REPLY: Final = 17
FORK: Final = 18
FORKED: Final = 19
EXITED: Final = 20

HEADER: Final = Struct("<IBBHQ")
RESULT_HEAD: Final = Struct("<QII")
_TASK_HEAD: Final = Struct("<QHHII")
_BATCH_HEAD: Final = Struct("<HHI")
_ITEM_HEAD: Final = Struct("<QII")
_U32: Final = Struct("<I")


class ProtocolError(Exception):
    """The other side sent what version 1 does not allow (HR6001)."""


def encode(kind: int, stream: int, body: bytes) -> bytes:
    """One frame. The caller keeps the body within MAX_BODY."""
    return HEADER.pack(len(body), VERSION, kind, 0, stream) + body


def credit(count: int) -> bytes:
    return encode(CREDIT, 0, _U32.pack(count))


def pong(ping: bytes) -> bytes:
    """The answer to a ping."""
    if len(ping) > MAX_PING:
        raise ProtocolError(f"ping of {len(ping)} bytes, the limit is {MAX_PING}")
    return encode(PONG, 0, ping)


class Reader:
    """Splits a byte stream into frames. Holds at most one partial frame."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    @property
    def partial(self) -> bool:
        """True while a frame has begun and not ended."""
        return bool(self._rest)

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yields (kind, stream, body) for every frame that is now complete. Consume it fully before the next feed."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, end = 0, len(data)
        while end - at >= 16:
            length, version, kind, flags, stream = HEADER.unpack_from(data, at)
            if version != VERSION:
                raise ProtocolError(f"frame version {version}, this SDK speaks {VERSION}")
            if not HELLO <= kind <= EXITED:
                raise ProtocolError(f"unknown frame kind {kind}")
            if flags:
                raise ProtocolError(f"frame flags {flags:#x}, must be 0")
            if length > MAX_BODY:
                raise ProtocolError(f"frame body of {length} bytes, the limit is {MAX_BODY}")
            stop = at + 16 + length
            if stop > end:
                break
            yield kind, stream, data[at + 16 : stop]
            at = stop
        self._rest = data[at:]


def tasks(body: bytes) -> list[tuple[int, int, bytes, bytes]]:
    """The (task, function, meta, args) of a task container."""
    found: list[tuple[int, int, bytes, bytes]] = []
    at, end = 0, len(body)
    while at + 20 <= end:
        task, function, _, meta, args = _TASK_HEAD.unpack_from(body, at)
        middle = at + 20 + meta
        at = middle + args
        if at > end:
            raise ProtocolError("truncated task container")
        found.append((task, function, body[middle - meta : middle], body[middle:at]))
    if at != end or not found:
        raise ProtocolError("truncated task container" if end else "empty task container")
    return found


def batch(body: bytes) -> tuple[int, list[tuple[int, bytes, bytes]]]:
    """The function and the (task, meta, args) of its items of a batch container."""
    if len(body) < 8:
        raise ProtocolError("truncated batch container")
    function, _, count = _BATCH_HEAD.unpack_from(body)
    items: list[tuple[int, bytes, bytes]] = []
    at, end = 8, len(body)
    for _ in range(count):
        if at + 16 > end:
            raise ProtocolError("truncated batch container")
        task, meta, args = _ITEM_HEAD.unpack_from(body, at)
        middle = at + 16 + meta
        at = middle + args
        if at > end:
            raise ProtocolError("truncated batch container")
        items.append((task, body[middle - meta : middle], body[middle:at]))
    if at != end:
        raise ProtocolError("bytes after the last item of a batch container")
    return function, items


def result(task: int, micros: int, value: bytes) -> bytes:
    """One entry of a result container."""
    return RESULT_HEAD.pack(task, min(micros, 0xFFFFFFFF), len(value)) + value
