"""Tracebacks as the user should see them: their frames, not ours."""

from __future__ import annotations

import os
import traceback
from typing import Any

from headrace import _json
from headrace._event import Deny, Disconnect
from headrace._errors import Cancelled, Fail, Interrupted, Retry

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
LIMIT = 64 << 10
_KINDS = {Retry: "retry", Fail: "fail", Deny: "fail", Disconnect: "fail", Cancelled: "cancelled", Interrupted: "interrupted"}


def _user_frame(file: str) -> bool:
    return not (file.startswith((_OURS, "<frozen importlib", "<frozen runpy")))


def _cut(trace: traceback.TracebackException, seen: set[int]) -> None:
    if id(trace) in seen:
        return
    seen.add(id(trace))
    trace.stack[:] = [frame for frame in trace.stack if _user_frame(frame.filename)]
    for other in (trace.__cause__, trace.__context__, *(getattr(trace, "exceptions", None) or ())):
        if other is not None:
            _cut(other, seen)


def text(error: BaseException) -> str:
    """The traceback with user frames only; the end of it where it is longer than 64 KiB."""
    trace = traceback.TracebackException.from_exception(error)
    _cut(trace, set())
    whole = "".join(trace.format())
    return whole if len(whole) <= LIMIT else "…" + whole[-LIMIT:]


def body(error: BaseException, kind: str | None = None) -> bytes:
    """The JSON of an error frame."""
    try:
        message = str(error)
    except Exception as broken:
        message = f"<the message cannot be made: {type(broken).__name__}>"
    if kind is None:
        kind = next((kind for type, kind in _KINDS.items() if isinstance(error, type)), "error")
    shown: dict[str, Any] = {"kind": kind, "type": type(error).__name__, "message": message[:LIMIT]}
    try:
        shown["traceback"] = "" if kind in ("arguments", "unencodable") else text(error)
    except Exception as broken:
        shown["traceback"] = f"<the traceback cannot be made: {type(broken).__name__}>"
    if isinstance(error, Retry) and error.after is not None:
        shown["after"] = error.after
    if isinstance(error, Fail) and kind == "fail":
        shown["status"] = error.status
    if isinstance(error, (Deny, Disconnect)):
        shown["status"], shown["refusal"] = 403, error.answer()
    return lossy(shown)


def plain(kind: str, type: str, message: str) -> bytes:
    """The JSON of an error frame that no exception stands behind."""
    return lossy({"kind": kind, "type": type, "message": message, "traceback": ""})


def lossy(value: Any) -> bytes:
    """JSON of text that may hold what UTF-8 cannot carry."""
    try:
        return _json.encode(value)
    except _json.Unencodable:
        import json

        return json.dumps(value, default=repr).encode()


