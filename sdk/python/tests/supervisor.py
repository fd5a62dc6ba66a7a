"""A small supervisor: starts a real worker process over a real socketpair and speaks frames with it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from headrace import _frame

SRC = Path(__file__).resolve().parent.parent / "src"
DEADLINE = 20.0


class Frame(NamedTuple):
    kind: int
    stream: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Result(NamedTuple):
    task: int
    micros: int
    value: Any


def results(body: bytes) -> list[Result]:
    found = []
    at = 0
    while at < len(body):
        task, micros, size = struct.unpack_from("<QII", body, at)
        at += 16 + size
        found.append(Result(task, micros, json.loads(body[at - size : at])))
    return found


def task_entry(task: int, function: int, args: Any = None, meta: Any = None) -> bytes:
    data = json.dumps(args if args is not None else {}).encode()
    head = b"" if meta is None else json.dumps(meta).encode()
    return struct.pack("<QHHII", task, function, 0, len(head), len(data)) + head + data


def batch_body(function: int, items: list[tuple[int, Any]]) -> bytes:
    body = struct.pack("<HHI", function, 0, len(items))
    for task, args in items:
        data = json.dumps(args).encode()
        body += struct.pack("<QII", task, 0, len(data)) + data
    return body


class Conversation:
    """One side of a worker's socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reader = _frame.Reader()
        self.frames: list[Frame] = []
        self.seen: list[Frame] = []
        self.names: dict[str, int] = {}
        self.hello: dict[str, Any] = {}
        self.pid = 0
        self._next = 0

    def send(self, kind: int, stream: int = 0, body: Any = b"") -> None:
        self.sock.sendall(_frame.encode(kind, stream, body if isinstance(body, bytes) else json.dumps(body).encode()))

    def receive(self, wanted: Callable[[Frame], bool] = lambda frame: True, timeout: float = DEADLINE) -> Frame:
        """The next frame that is wanted; the others stay."""
        end = time.monotonic() + timeout
        while True:
            for at, frame in enumerate(self.frames):
                if wanted(frame):
                    return self.frames.pop(at)
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise TimeoutError(f"no such frame; there are {[f[:2] for f in self.frames]}")
            data = self.sock.recv(1 << 20)
            if not data:
                raise EOFError(f"the worker closed; there are {self.frames}")
            for read in self.reader.feed(data):
                self.frames.append(Frame(*read))
                self.seen.append(Frame(*read))

    def kind(self, kind: int, stream: int | None = None) -> Frame:
        return self.receive(lambda frame: frame.kind == kind and stream in (None, frame.stream))

    def greet(self, spool: str = "") -> dict[str, Any]:
        first = self.receive()
        assert first.kind == _frame.HELLO, first
        self.hello = first.json
        self.names = {function["name"]: at for at, function in enumerate(self.hello["functions"])}
        self.send(_frame.WELCOME, 0, {"protocol": 1, "worker": "test-1", "pool": "test", "spool": spool})
        return self.hello

    def credit(self) -> int:
        return int(struct.unpack("<I", self.kind(_frame.CREDIT).body)[0])

    def number(self) -> int:
        self._next += 1
        return self._next

    def submit(self, name: str, args: Any = None, meta: Any = None) -> int:
        task = self.number()
        self.send(_frame.TASK, 0, task_entry(task, self.names[name], args, meta))
        return task

    def outcome(self, task: int) -> Any:
        """The result of a task, or the body of its error frame wrapped in TaskFailed."""
        while True:
            frame = self.receive(lambda f: (f.kind == _frame.ERROR and f.stream == task) or f.kind == _frame.RESULT)
            if frame.kind == _frame.ERROR:
                raise TaskFailed(frame.json)
            rest = results(frame.body)
            mine = [one for one in rest if one.task == task]
            others = b"".join(_frame.result(one.task, one.micros, json.dumps(one.value).encode()) for one in rest if one.task != task)
            if others:
                self.frames.append(Frame(_frame.RESULT, 0, others))
            if mine:
                return mine[0].value

    def run(self, name: str, args: Any = None, meta: Any = None) -> Any:
        return self.outcome(self.submit(name, args, meta))

    def fails(self, name: str, args: Any = None, meta: Any = None) -> dict[str, Any]:
        try:
            value = self.run(name, args, meta)
        except TaskFailed as failed:
            return failed.body
        raise AssertionError(f"{name} did not fail, it returned {value!r}")

    def logs(self, task: int, level: str | None = None) -> list[str]:
        return [f.json["text"] for f in self.seen if f.kind == _frame.LOG and f.stream == task and level in (None, f.json["level"])]

    def cancel(self, task: int, step: int = 1, reason: str = "cancelled") -> None:
        self.send(_frame.CANCEL, task, {"reason": reason, "step": step})
        os.kill(self.pid, signal.SIGUSR1)

    def ended(self) -> None:
        """Reads until the worker closes its socket."""
        try:
            while True:
                self.receive(lambda frame: False)
        except (EOFError, ConnectionError):
            pass


class Fork(Conversation):
    """A worker that a zygote forked, and the reading ends of its outputs."""

    def __init__(self, sock: socket.socket, out: int, err: int) -> None:
        super().__init__(sock)
        self.out, self.err = out, err

    def close(self) -> None:
        self.sock.close()
        os.close(self.out)
        os.close(self.err)


class TaskFailed(Exception):
    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.body = body


class Process(Conversation):
    """A worker or zygote process of an app given as source text."""

    def __init__(self, folder: Path, source: str, *, zygote: bool = False, name: str = "", file: str = "app.py") -> None:
        path = folder / file
        path.write_text(textwrap.dedent(source))
        ours, theirs = socket.socketpair()
        super().__init__(ours)
        self.folder = folder
        command = [sys.executable, "-u", "-W", "error", "-m", "headrace._worker", "--socket", str(theirs.fileno())]
        command += ["--zygote"] if zygote else []
        self.process = subprocess.Popen([*command, str(path) + (f":{name}" if name else "")], pass_fds=[theirs.fileno()],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
                                        env={**os.environ, "PYTHONPATH": str(SRC), "HEADRACE_WORKER": "test-1", "OMP_NUM_THREADS": "1"})
        theirs.close()
        self.pid = self.process.pid
        self.forks: list[Fork] = []

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.sock.close()
        for fork in self.forks:
            fork.close()
        if self.process.poll() is None:
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        out, err = self.process.communicate()
        if error is not None:
            print(out.decode(errors="replace"), err.decode(errors="replace"))

    def start(self) -> Process:
        self.greet(str(self.folder))
        self.credit()
        return self

    def fork(self, name: str) -> Fork:
        """Asks a zygote for a worker."""
        ours, theirs = socket.socketpair()
        out, out_write = os.pipe()
        err, err_write = os.pipe()
        frame = _frame.encode(_frame.FORK, 0, json.dumps({"worker": name}).encode())
        socket.send_fds(self.sock, [frame], [theirs.fileno(), out_write, err_write])
        theirs.close()
        os.close(out_write)
        os.close(err_write)
        fork = Fork(ours, out, err)
        self.forks.append(fork)
        return fork

    def drain(self) -> int:
        self.send(_frame.DRAIN)
        self.ended()
        return self.process.wait(DEADLINE)
