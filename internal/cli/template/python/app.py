"""Functions that headrace runs. Save this file while `headrace dev` runs, and its workers are replaced."""

import time

import headrace as hr

app = hr.App()


@app.job(retries=3, route="POST /count")
def count(job: hr.Job, to: int = 10) -> int:
    """Counts slowly. A job is stored before it is acknowledged, and retried if it fails."""
    for i in range(1, to + 1):
        time.sleep(0.2)
        job.progress(i, to, note=f"counted {i}")
    return to


@app.call(route="POST /hello")
def hello(name: str = "world") -> str:
    """Greets at once. A call is not stored; somebody waits for the answer."""
    return f"hello, {name}"


@app.batch(size=64, wait="5ms", route="POST /square")
def square(n: list[float]) -> list[float]:
    """Squares numbers. Many requests become one call, as a model or a database likes it."""
    return [x * x for x in n]
