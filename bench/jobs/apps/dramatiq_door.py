import dramatiq_app
from door import Door


def enqueue(function, index):
    getattr(dramatiq_app, function).send(index)


def bulk(first, count):
    for index in range(first, first + count):
        dramatiq_app.noop.send(index)


def call(index):
    return dramatiq_app.answer.send(index).get_result(block=True, timeout=30_000)


app = Door(enqueue, bulk, call)
