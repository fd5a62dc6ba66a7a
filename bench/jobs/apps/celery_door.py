import celery_app
from door import Door


def enqueue(function, index):
    getattr(celery_app, function).apply_async((index,))


def bulk(first, count):
    with celery_app.app.producer_pool.acquire() as producer:
        for index in range(first, first + count):
            celery_app.noop.apply_async((index,), producer=producer)


def call(index):
    return celery_app.answer.apply_async((index,)).get(timeout=30)


app = Door(enqueue, bulk, call)
