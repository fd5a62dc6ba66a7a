"""What user code prints and logs, as log frames of its task."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from headrace import _frame, _job, _json
from headrace._link import Link
from headrace._trace import lossy

PIECE = 64 << 10  # characters of one log frame


class Outlet:
    """Where text goes: to the descriptor until a worker's link is there, then into log frames."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.task: Callable[[], int] = lambda: 0  # number of the task that is running here

    def log(self, level: str, lines: list[str], fields: dict[str, Any] | None = None, task: int | None = None) -> None:
        if self.link is None:
            return
        stream = self.task() if task is None else task
        frames = []
        for line in lines:
            for at in range(0, max(len(line), 1), PIECE):
                body: dict[str, Any] = {"level": level, "text": line[at : at + PIECE]}
                if fields:
                    body["fields"] = fields
                frames.append(_frame.encode(_frame.LOG, stream, lossy(body)))
        self.link.send(b"".join(frames))


class Output(io.TextIOBase):
    """Stands in for sys.stdout or sys.stderr. Lines leave when they are complete, the rest when the task ends."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, outlet: Outlet, level: str, fd: int) -> None:
        self._outlet = outlet
        self._level = level
        self._fd = fd
        self._lock = threading.Lock()
        self._parts: dict[int, str] = {}  # unfinished line of each task
        self._bytes = _Bytes(self)

    @property
    def dirty(self) -> bool:
        return bool(self._parts)

    @property
    def buffer(self) -> _Bytes:
        return self._bytes

    def fileno(self) -> int:
        return self._fd

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        link = self._outlet.link
        if link is None:
            os.write(self._fd, text.encode(errors="backslashreplace"))
            return len(text)
        with link.shield:
            task = self._outlet.task()
            with self._lock:
                whole = self._parts.pop(task, "") + text
                lines = whole.split("\n")
                rest = lines.pop()
                if len(rest) > PIECE:
                    lines.append(rest)
                elif rest:
                    self._parts[task] = rest
            if lines:
                self._outlet.log(self._level, lines, task=task)
        return len(text)

    def finish(self, task: int) -> None:
        """Sends the unfinished line of a task."""
        with self._lock:
            rest = self._parts.pop(task, "")
        if rest:
            self._outlet.log(self._level, [rest], task=task)

    def flush(self) -> None:
        pass


class _Bytes(io.RawIOBase):
    """The `buffer` of an Output, for code that writes bytes."""

    def __init__(self, text: Output) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()

    def write(self, data: Any) -> int:
        held = bytes(data)
        self._text.write(held.decode("utf-8", "backslashreplace"))
        return len(held)


_KNOWN = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "headrace_task"}


class FrameHandler(logging.Handler):
    """Turns log records into log frames."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet
        self._format = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text += "\n" + self._format.formatException(record.exc_info)
            level = ("debug" if record.levelno < 20 else "info" if record.levelno < 30 else "warning" if record.levelno < 40 else "error")
            if self._outlet.link is None:
                os.write(2, f"{record.levelname} {record.name}: {text}\n".encode(errors="backslashreplace"))
                return
            fields: dict[str, Any] = {"logger": record.name}
            for name, value in record.__dict__.items():
                if name not in _KNOWN:
                    try:
                        fields[name] = _json.decode(_json.encode(value))
                    except _json.Unencodable:
                        fields[name] = repr(value)
            with self._outlet.link.shield:
                self._outlet.log(level, [text], fields, getattr(record, "headrace_task", None))
        except Exception:
            self.handleError(record)


def capture() -> tuple[Outlet, Output, Output]:
    """Puts the writers in place. Call it before the app is imported, so that handlers the app makes write to them."""
    outlet = Outlet()
    out, err = Output(outlet, "stdout", 1), Output(outlet, "stderr", 2)
    sys.stdout, sys.stderr = out, err
    _job._logger.addHandler(FrameHandler(outlet))
    return outlet, out, err


def default_logging(outlet: Outlet) -> None:
    """After the import: a root handler at INFO, unless the app configured logging."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(FrameHandler(outlet))
        if root.level == logging.WARNING:
            root.setLevel(logging.INFO)
