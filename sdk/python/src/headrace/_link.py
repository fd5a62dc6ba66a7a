"""Link: the worker's socket, shared by the main thread, its signal handler and any thread of user code.

Whoever needs a frame reads the socket: the main thread when idle, a function that waits for a reply. One thread reads at a time and
hands out what it finds; the others wait for it. Where the main thread must not be interrupted it holds the shield: a signal that
comes meanwhile is looked at when the shield is lifted.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from headrace import _frame

CHUNK = 1 << 18
PROTOCOL_ERROR = 4
SUPERVISOR_GONE = 5


def leave(code: int, reason: str) -> NoReturn:
    """Ends the process at once, whatever user code is doing."""
    try:
        os.write(2, f"headrace worker: {reason}\n".encode())
    finally:
        os._exit(code)


class Shield:
    """Keeps exceptions of signal handlers out of the main thread. No effect in other threads, which get no signals."""

    __slots__ = ("_main", "depth", "lifted", "signalled")

    def __init__(self) -> None:
        self._main = threading.get_ident()
        self.depth = 0
        self.signalled = False
        self.lifted: Callable[[], None] = lambda: None  # called when the last shield is gone

    def main(self) -> bool:
        return threading.get_ident() == self._main

    def __enter__(self) -> None:
        if threading.get_ident() == self._main:
            self.depth += 1

    def __exit__(self, *_: object) -> None:
        if threading.get_ident() == self._main:
            self.depth -= 1
            if not self.depth:
                self.lifted()


class Link:
    """Frames over one stream socket. `handle` is called with each frame, by the thread that read it, and must not wait."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.shield = Shield()
        self.handle: Callable[[int, int, bytes], None] = lambda kind, stream, body: None
        self.closing = False  # we shut the reading side down ourselves
        self._reader = _frame.Reader()
        self._writing = threading.Lock()
        self._turn = threading.Condition(threading.Lock())
        self._reading = False
        self._waiting = 0

    def send(self, data: bytes) -> None:
        """Writes whole frames. Blocks while the supervisor does not read."""
        with self.shield, self._writing:
            try:
                self.sock.sendall(data)
            except OSError as error:
                leave(SUPERVISOR_GONE, f"the supervisor is gone ({error})")

    def read_until(self, done: Callable[[], object]) -> None:
        """Reads frames, or waits for the thread that does, until done() is true."""
        with self.shield, self._turn:
            while not done():
                if self._reading:
                    self._waiting += 1
                    try:
                        self._turn.wait()
                    finally:
                        self._waiting -= 1
                    continue
                self._reading = True
                self._turn.release()
                try:
                    data = self.sock.recv(CHUNK)
                except OSError:
                    data = b""
                finally:
                    self._turn.acquire()
                    self._reading = False
                self._take(data)
                if self._waiting:
                    self._turn.notify_all()

    def poll(self) -> None:
        """Reads what has arrived, without waiting. For the signal handler, under the shield."""
        if not self._turn.acquire(blocking=False):
            return  # another thread is between reading and handing out; it will see the frame
        try:
            while not self._reading:
                try:
                    data = self.sock.recv(CHUNK, socket.MSG_DONTWAIT)
                except (BlockingIOError, InterruptedError):
                    break
                self._take(data)
                if self._waiting:
                    self._turn.notify_all()
        finally:
            self._turn.release()

    def _take(self, data: bytes) -> None:
        if not data:
            if self.closing:
                self.handle(_frame.DRAIN, 0, b"")
                return
            leave(SUPERVISOR_GONE, "the supervisor is gone")
        try:
            for kind, stream, body in self._reader.feed(data):
                self.handle(kind, stream, body)
        except (_frame.ProtocolError, ValueError, KeyError, TypeError) as error:
            refuse(self.sock, error)

    def stop_reading(self) -> None:
        """Wakes the thread that reads: nothing more is wanted."""
        self.closing = True
        try:
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            pass


def refuse(sock: socket.socket, error: Exception) -> NoReturn:
    """The supervisor sent what the contract does not allow."""
    sock.close()
    if isinstance(error, _frame.ProtocolError):
        leave(PROTOCOL_ERROR, f"HR6001: malformed frame: {error}")
    import traceback

    traceback.print_exc(file=sys.__stderr__)
    leave(PROTOCOL_ERROR, f"HR6001: malformed frame: {type(error).__name__}: {error}")
