"""What a worker asks of the operating system."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> bool:
    """Linux: SIGKILL when the parent dies. False if it is dead already."""
    if not sys.platform.startswith("linux"):
        return True
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        return True  # not permitted here; the end of the socket tells as well
    return os.getppid() == parent


def threads() -> int:
    """Threads alive in this process, native ones included where the system tells."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def fork_refusal() -> str | None:
    """Why a fork would not be safe, or None."""
    count = threads()
    if count > 1:
        return f"{count} threads are alive"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "CUDA is initialised"
    return None


def reseed() -> None:
    """Gives a forked child random numbers of its own."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")  # loaded lazily: to import it here would cost every child
    if numpy_random is not None:
        numpy_random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(int.from_bytes(os.urandom(7), "little"))
