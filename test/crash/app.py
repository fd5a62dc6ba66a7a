"""The app of the crash suite: every run says when it began and ended in a ledger that headrace knows nothing of."""

import os
import time

import headrace as hr

app = hr.App()
ledger = -1


def write(*entries: tuple[object, ...]) -> None:
    global ledger
    if ledger < 0:
        ledger = os.open(os.environ["CRASH_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    now = time.time_ns()
    os.write(ledger, "".join(f"{now} {os.getpid()} {' '.join(map(str, e))}\n" for e in entries).encode())
    os.fsync(ledger)


class Run:
    """What a job does between its two lines. An exception by design is a failure, a death leaves no second line."""

    def __init__(self, job: hr.Job, ref: str) -> None:
        self.names = (ref, job.id, job.attempt)

    def __enter__(self) -> None:
        write(("begin", *self.names))

    def __exit__(self, kind: object, *_: object) -> None:
        write(("done" if kind is None else "fail", *self.names))


@app.job()
def noop(job: hr.Job, ref: str) -> str:
    with Run(job, ref):
        return ref


@app.job()
def nap(job: hr.Job, ref: str) -> str:
    with Run(job, ref):
        time.sleep(0.005)
        return ref


@app.job(key="tenant", key_limit=1, retries=5, backoff="2s")
def ordered(job: hr.Job, ref: str, tenant: str, n: int) -> int:
    with Run(job, ref):
        if n % 40 == 11 and job.attempt == 1:
            raise ValueError("the first attempt fails, the others of the key must wait")
        time.sleep(0.003)
        return n


@app.job()
def stepped(job: hr.Job, ref: str) -> int:
    with Run(job, ref):
        for step in range(job.resume() or 0, 5):
            time.sleep(0.01)
            job.checkpoint(step + 1)
        return 5


@app.job()
def parent(job: hr.Job, ref: str) -> str:
    with Run(job, ref):
        return job.enqueue(noop, ref=f"{ref}/child")


@app.job(retries=3, backoff="50ms")
def flaky(job: hr.Job, ref: str, fails: int) -> str:
    with Run(job, ref):
        if job.attempt <= fails:
            raise ValueError(f"attempt {job.attempt} of {fails} that fail")
        return ref


@app.job()
def hopeless(job: hr.Job, ref: str) -> None:
    with Run(job, ref):
        raise hr.Fail("this one never succeeds")


@app.job()
def join(job: hr.Job, ref: str) -> int:
    with Run(job, ref):
        return len(job.parts)


@app.batch(size=16, wait="5ms")
def embed(ref: list[str]) -> list[int]:
    write(*(("begin", r, "-", 0) for r in ref))
    time.sleep(0.002)
    write(*(("done", r, "-", 0) for r in ref))
    return [len(r) for r in ref]


@app.job()
def talk(job: hr.Job, ref: str, steps: int):
    with Run(job, ref):
        for step in range(job.resume() or 0, steps):
            job.progress(step + 1, steps, note="talking")
            print("step", step)
            time.sleep(0.12)
            job.checkpoint(step + 1)
            yield {"step": step}


@app.job(retries=3)
def greedy(job: hr.Job, ref: str, always: bool) -> str:
    with Run(job, ref):
        eaten = []
        while always or job.attempt == 1:
            eaten.append(bytearray(os.urandom(64)) * (4 << 14))
            time.sleep(0.01)
            if len(eaten) > 256:
                raise hr.Fail("1 GiB eaten and still alive")
        return ref
