"""The zygote: a process that imported the app and forks workers. It stays single-threaded and runs no user code after the import."""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import socket
import sys

from headrace import _frame, _json
from headrace._link import PROTOCOL_ERROR, SUPERVISOR_GONE, leave, refuse
from headrace._process import die_with_parent, fork_refusal, reseed

_FDS = 3


class Zygote:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = _frame.Reader()
        self._fds: list[int] = []
        self._children: set[int] = set()
        self._welcomed = False
        self._draining = False
        self._wake, self._wake_write = socket.socketpair()
        self._wake.setblocking(False)
        self._wake_write.setblocking(False)

    def serve(self, greeting: bytes) -> socket.socket | None:
        """Serves until it is drained and its children have ended (None); in a child, returns the socket of the new worker."""
        gc.collect()
        gc.freeze()
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._send(greeting)
        while not (self._draining and not self._children):
            ready, _, _ = select.select([self._sock, self._wake], [], [])
            if self._wake in ready:
                self._wake.recv(4096)
                self._reap()
            if self._sock in ready:
                child = self._receive()
                if child is not None:
                    return child
        return None

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError as error:
            leave(SUPERVISOR_GONE, f"the supervisor is gone ({error})")

    def _receive(self) -> socket.socket | None:
        try:
            data, fds, flags, _ = socket.recv_fds(self._sock, 1 << 16, 16 * _FDS)
        except OSError:
            data, fds, flags = b"", [], 0
        if not data:
            leave(SUPERVISOR_GONE, "the supervisor is gone")
        if flags & socket.MSG_CTRUNC:
            leave(PROTOCOL_ERROR, "HR6001: descriptors were lost")
        for fd in fds:
            os.set_inheritable(fd, False)
        self._fds += fds
        try:
            for kind, _, body in self._reader.feed(data):
                child = self._handle(kind, body)
                if child is not None:
                    return child
        except (_frame.ProtocolError, ValueError, KeyError, TypeError) as error:
            refuse(self._sock, error)
        return None

    def _handle(self, kind: int, body: bytes) -> socket.socket | None:
        if kind == _frame.FORK:
            return self._fork(str(_json.decode(body)["worker"]))
        if kind == _frame.PING:
            self._send(_frame.pong(body))
        elif kind == _frame.DRAIN:
            self._draining = True
        elif kind != _frame.WELCOME:
            raise _frame.ProtocolError(f"frame kind {kind} is not for a zygote")
        return None

    def _fork(self, worker: str) -> socket.socket | None:
        if len(self._fds) < _FDS:
            raise _frame.ProtocolError("fork came without its three descriptors")
        fds, self._fds = self._fds[:_FDS], self._fds[_FDS:]
        refusal = "the zygote is draining" if self._draining else fork_refusal()
        pid = -1
        if refusal is None:
            gc.freeze()
            try:
                pid = os.fork()
            except OSError as error:
                refusal = f"fork failed: {error.strerror}"
        if pid == 0:
            return self._become(worker, fds)
        for fd in fds:
            os.close(fd)
        told: dict[str, object] = {"worker": worker}
        if refusal is None:
            self._children.add(pid)
            told["pid"] = pid
        else:
            told["refused"] = refusal
        self._send(_frame.encode(_frame.FORKED, 0, _json.encode(told)))
        return None

    def _become(self, worker: str, fds: list[int]) -> socket.socket:
        """In the child: from here on it is a worker."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)  # its own group, so that what it starts ends with it
        zygote = os.getppid()
        if not die_with_parent():
            os._exit(SUPERVISOR_GONE)
        for sock in (self._sock, self._wake, self._wake_write):
            sock.close()
        for fd in self._fds:
            os.close(fd)
        own, out, err = fds
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        os.environ["HEADRACE_WORKER"] = worker
        reseed()
        if os.getppid() != zygote:
            os._exit(SUPERVISOR_GONE)
        return socket.socket(fileno=own)

    def _reap(self) -> None:
        for pid in sorted(self._children):
            try:
                ended, status, usage = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                self._children.discard(pid)
                continue
            if ended:
                self._children.discard(pid)
                self._send(_frame.encode(_frame.EXITED, 0, _json.encode(_exit(pid, status, usage))))


def _exit(pid: int, status: int, usage: resource.struct_rusage) -> dict[str, object]:
    killed = os.WIFSIGNALED(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return {"pid": pid, "code": -1 if killed else os.WEXITSTATUS(status), "signal": os.WTERMSIG(status) if killed else 0,
            "max_rss": usage.ru_maxrss * unit, "cpu": round(usage.ru_utime + usage.ru_stime, 6)}
