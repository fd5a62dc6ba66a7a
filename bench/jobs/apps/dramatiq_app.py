import os

import dramatiq
import work
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

_redis = os.environ["BENCH_REDIS"]
broker = RedisBroker(url=f"redis://{_redis}/0")
broker.add_middleware(Results(backend=RedisBackend(url=f"redis://{_redis}/1")))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def noop(index):
    work.sign(index)


@dramatiq.actor(store_results=True)
def hold(index):
    work.hold(index)


@dramatiq.actor(store_results=True)
def burn(index):
    work.burn(index)


@dramatiq.actor(store_results=True)
def answer(index):
    return index
