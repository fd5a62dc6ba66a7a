"""A batch: one call of a function of lists for many tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headrace import _frame, _json, _trace
from headrace._function import ArgumentError, Function


class Batch:
    __slots__ = ("_order", "function", "items", "tasks")

    def __init__(self, function: Function, items: list[tuple[int, bytes, bytes]]) -> None:
        self.function = function
        self.items = items
        self.tasks = {task for task, _, _ in items}  # those that still want an answer
        self._order: list[int] = []

    def drop(self, task: int) -> bool:
        """Leaves out a task that was answered otherwise. True if none is left."""
        self.tasks.discard(task)
        return not self.tasks

    def gather(self, refuse: Callable[[int, bytes], None]) -> dict[str, list[Any]]:
        """The lists for the call. Tasks whose arguments do not fit are refused one by one."""
        lists: dict[str, list[Any]] = {name: [] for name in self.function.names}
        for task, _, data in self.items:
            if task not in self.tasks:
                continue
            try:
                args = self.function.decode(data)
                misfit = self.function.misfit(args)
                if misfit is not None:
                    raise ArgumentError(misfit)
            except ArgumentError as error:
                self.drop(task)
                refuse(task, _trace.body(error, "arguments"))
                continue
            self._order.append(task)
            for name, values in lists.items():
                values.append(args[name])
        return lists

    def answers(self, result: Any, failure: BaseException | None, micros: int) -> bytes:
        """The frames that answer every task."""
        if failure is None:
            failure = self._misshapen(result)
        if failure is not None:
            body = _trace.body(failure)
            return b"".join(_frame.encode(_frame.ERROR, task, body) for task in self._order if task in self.tasks)
        frames: list[bytes] = []
        held: list[bytes] = []
        size = 0
        for task, value in zip(self._order, result):
            if task not in self.tasks:
                continue
            if isinstance(value, Exception):
                frames.append(_frame.encode(_frame.ERROR, task, _trace.body(value)))
                continue
            try:
                one = _frame.result(task, micros, _json.encode(value))
                if len(one) > _frame.MAX_BODY:
                    raise _json.Unencodable(f"{len(one)} bytes of JSON, a frame holds {_frame.MAX_BODY}")
            except _json.Unencodable as error:
                frames.append(_frame.encode(_frame.ERROR, task, _trace.plain("unencodable", "Unencodable", f"{self.function.name}(): {error}")))
                continue
            if size + len(one) > _frame.MAX_BODY:
                frames.append(_frame.encode(_frame.RESULT, 0, b"".join(held)))
                held.clear()
                size = 0
            held.append(one)
            size += len(one)
        if held:
            frames.append(_frame.encode(_frame.RESULT, 0, b"".join(held)))
        return b"".join(frames)

    def _misshapen(self, result: Any) -> BaseException | None:
        name, count = self.function.name, len(self._order)
        if type(result).__module__ == "numpy" and hasattr(result, "tolist"):
            return None if len(result) == count else ValueError(f"{name}() got {count} items and returned {len(result)}")
        if not isinstance(result, (list, tuple)):
            return TypeError(f"{name}() must return a list with one element per item, not {type(result).__name__}")
        if len(result) != count:
            return ValueError(f"{name}() got {count} items and returned {len(result)}")
        return None
