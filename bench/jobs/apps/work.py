"""What the jobs of every Python contender do, so that they differ in nothing but the queue.

Each run signs a ledger: one append of 24 bytes (index, monotonic nanoseconds, process). The benchmark reads from it
how often each job ran, when and where. BENCH_HOLD names a file; jobs that hold or burn go on while it exists.
"""

import os
import struct
import time

if os.environ.get("BENCH_PANDAS"):
    import pandas  # noqa: F401  (the cost of this import is what is measured)

_ledger = os.open(os.environ["BENCH_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
_hold = os.environ["BENCH_HOLD"]
_record = struct.Struct("<QqII")


def sign(index: int) -> None:
    os.write(_ledger, _record.pack(index, time.monotonic_ns(), os.getpid(), 0))


def hold(index: int) -> None:
    sign(index)
    while os.path.exists(_hold):
        time.sleep(0.01)


def burn(index: int) -> None:
    sign(index)
    while os.path.exists(_hold):
        sum(range(100_000))
