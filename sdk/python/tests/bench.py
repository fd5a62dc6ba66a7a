"""Measures the worker's own cost: python tests/bench.py (not a test). The supervisor here is Python too, and shares the machine,
so the rates are lower bounds."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from supervisor import Process, batch_body, task_entry

from headrace import _frame

APP = """
import headrace as hr
app = hr.App()

@app.job()
def noop() -> None: ...

@app.job()
def add(a: int, b: int = 2) -> int: return a + b

@app.job()
def with_job(job: hr.Job) -> str: return job.id

@app.batch()
def batch(xs: list[int]) -> list[int]: return xs

@app.call()
async def later() -> None: ...
"""


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pump(worker: Process, frame: bytes, per_frame: int, frames: int, window: int) -> tuple[float, float]:
    """Tasks a second with `window` frames in flight, and microseconds of the worker's CPU per task."""
    sock = worker.sock
    per_answer = 0
    sent = done = 0
    buffer = b""
    begin, cpu = time.perf_counter(), _cpu(worker.pid)
    while done < frames * per_frame:
        while sent < frames and sent * per_frame - done < window * per_frame:
            sock.sendall(frame)
            sent += 1
        buffer += sock.recv(1 << 18)
        at = 0
        while len(buffer) - at >= 16:
            length, _, kind, _, _ = _frame.HEADER.unpack_from(buffer, at)
            if len(buffer) - at < 16 + length:
                break
            assert kind == _frame.RESULT, buffer[at : at + 200]
            per_answer = per_answer or 16 + int.from_bytes(buffer[at + 28 : at + 32], "little")
            done += length // per_answer
            at += 16 + length
        buffer = buffer[at:]
    return done / (time.perf_counter() - begin), 1e6 * (_cpu(worker.pid) - cpu) / done


def _forks(zygote: Process, count: int) -> tuple[float, float]:
    times = []
    for n in range(count):
        begin = time.perf_counter()
        worker = zygote.fork(f"w{n}")
        zygote.kind(_frame.FORKED)
        answered = time.perf_counter()
        worker.receive()
        times.append((answered - begin, time.perf_counter() - begin))
        worker.sock.shutdown(2)
    middle = sorted(times)[count // 2]
    return 1000 * middle[0], 1000 * middle[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Process(Path(folder), APP) as worker:
            worker.start()

            def tasks(name: str, args: object, count: int) -> bytes:
                return _frame.encode(_frame.TASK, 0, b"".join(task_entry(n + 1, worker.names[name], args, {"id": "01JD8Q6Z7TN1V6B3ZK4T5W8XYZ"})
                                                              for n in range(count)))

            cases: list[tuple[str, Callable[[], tuple[float, float]]]] = [
                ("no-op, frames of 64", lambda: _pump(worker, tasks("noop", {}, 64), 64, 4000, 4)),
                ("no-op, one by one (round trips)", lambda: _pump(worker, tasks("noop", {}, 1), 1, 30000, 1)),
                ("no-op, one a frame, 2 in flight", lambda: _pump(worker, tasks("noop", {}, 1), 1, 30000, 2)),
                ("add(a, b), frames of 64", lambda: _pump(worker, tasks("add", {"a": 1, "b": 3}, 64), 64, 2000, 4)),
                ("with hr.Job, frames of 64", lambda: _pump(worker, tasks("with_job", {}, 64), 64, 1000, 4)),
                ("batch of 64", lambda: _pump(worker, _frame.encode(_frame.BATCH, 0, batch_body(worker.names["batch"], [(n, {"xs": 1}) for n in range(64)])),
                                              64, 2000, 4)),
                ("async no-op, frames of 64", lambda: _pump(worker, tasks("later", {}, 64), 64, 500, 2)),
            ]
            for name, run in cases:
                runs = [run() for _ in range(3)]
                print(f"{name:36} {max(rate for rate, _ in runs):10,.0f} tasks/s {min(cpu for _, cpu in runs):8.1f} µs of CPU")
        for name, imports in (("bare app", ""), ("app with NumPy", "import numpy\n")):
            with Process(Path(folder), imports + APP, zygote=True) as zygote:
                zygote.greet()
                answered, hello = _forks(zygote, 30)
                print(f"fork, {name:30} {answered:6.2f} ms until forked, {hello:.2f} ms until the child's hello")
        print(f"{os.cpu_count()} cores")


if __name__ == "__main__":
    main()
