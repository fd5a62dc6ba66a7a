import os

import work
from celery import Celery

_redis = os.environ["BENCH_REDIS"]
app = Celery("bench", broker=f"redis://{_redis}/0", backend=f"redis://{_redis}/1")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=os.environ.get("BENCH_REQUEUE") == "1",
    broker_connection_retry_on_startup=True,
)


@app.task
def noop(index):
    work.sign(index)


@app.task
def hold(index):
    work.hold(index)


@app.task
def burn(index):
    work.burn(index)


@app.task
def answer(index):
    return index
