import asyncio
import ctypes
import os
import signal
import sys
import time

import headrace as hr

app = hr.App()
print("imported")


@app.job()
def noop() -> None:
    pass


@app.job()
def add(a: int, b: int) -> int:
    return a + b


@app.call()
def whoami() -> int:
    return os.getpid()


@app.job()
def environment() -> dict[str, str]:
    return dict(os.environ)


@app.job()
def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


@app.job()
def speak(words: list[str]) -> None:
    for word in words:
        print(word)
    os.write(1, b"raw\n")
    print("to stderr", file=sys.stderr)


@app.job()
def fail(message: str) -> None:
    raise ValueError(message)


@app.job()
def leave(code: int) -> None:
    print("last words")
    os._exit(code)


@app.job()
def kill(number: int) -> None:
    os.kill(os.getpid(), number)


@app.job()
def segfault() -> None:
    ctypes.string_at(0)


@app.job()
def eat(megabytes: int) -> int:
    held = []
    for _ in range(megabytes):
        held.append(b"x" * (1 << 20))
        time.sleep(0.002)
    return len(held)


@app.job()
def hold(megabytes: int) -> None:
    global kept
    kept = b"x" * (megabytes << 20)


@app.job()
def polite(job: hr.Job) -> str:
    job.progress(0)
    while not job.cancelled:
        time.sleep(0.01)
    return "stopped"


@app.job()
def willing(job: hr.Job) -> None:
    """Gives itself back as soon as its worker is to go."""
    job.progress(0)
    while not job.stopping:
        time.sleep(0.01)
    job.checkpoint({"cancelled": job.cancelled})
    raise hr.Interrupted


@app.job()
def hasty() -> None:
    raise hr.Interrupted("nobody asked")


@app.job()
def spin(job: hr.Job) -> None:
    job.progress(0)
    while True:
        pass


@app.job()
def stubborn(job: hr.Job) -> None:
    """Ends with the second exception, which SIGINT raises."""
    job.progress(0)
    try:
        while True:
            pass
    except hr.Cancelled:
        while True:
            pass


@app.job()
def deaf(job: hr.Job) -> None:
    """In C with the interpreter locked and every signal blocked: only SIGKILL ends it."""
    job.progress(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    ctypes.PyDLL(None).sleep(600)


@app.job()
def nap(seconds: float, job: hr.Job) -> str:
    job.progress(0)
    time.sleep(seconds)
    return "rested"


@app.job(concurrency=8)
async def doze(seconds: float, job: hr.Job) -> str:
    job.progress(0)
    await asyncio.sleep(seconds)
    return "rested"


@app.job()
def count(to: int):
    for i in range(to):
        yield i


@app.job()
def ask(job: hr.Job) -> str:
    job.checkpoint({"at": 1})
    return job.enqueue("noop")


@app.batch(size=8, wait="20ms")
def double(number: list[int]) -> list[int]:
    if 13 in number:
        os._exit(9)
    if 7 in number:
        raise ValueError("seven")
    if 99 in number:
        time.sleep(600)
    return [ValueError("odd one") if n == 5 else [2 * n, len(number)] for n in number]


@app.job()
def shout(text: hr.Blob, job: hr.Job) -> hr.Blob:
    return job.blob(text.path.read_bytes().upper(), name="loud.txt")


@app.job()
def babble() -> None:
    """Writes what is no frame to the socket of a spawned worker."""
    os.write(3, b"GET / HTTP/1.1\r\n")
    time.sleep(600)


@app.job()
def hang_up() -> None:
    """Closes the socket of a spawned worker and lives on."""
    os.close(3)
    time.sleep(600)
