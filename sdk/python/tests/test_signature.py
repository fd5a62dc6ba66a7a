"""Signatures: schemas, decoding, options, what is refused at decoration."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict
from uuid import UUID

import pydantic
import pytest
from jsonschema import Draft202012Validator

import headrace as hr
from headrace import _json
from headrace._function import ArgumentError, Function


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


@dataclasses.dataclass
class Tree:
    name: str
    children: list[Tree] = dataclasses.field(default_factory=list)
    size: int = dataclasses.field(init=False, default=0)


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Order(pydantic.BaseModel):
    id: int = pydantic.Field(gt=0)
    at: datetime


UserId = NewType("UserId", int)

CASES: list[tuple[Any, list[tuple[Any, Any]], list[Any]]] = [
    (int, [(1, 1), (5.0, 5)], ["1", 1.5, True, None]),
    (float, [(1.5, 1.5), (1, 1.0)], ["1", True]),
    (bool, [(True, True)], [1, "true"]),
    (str, [("a", "a")], [1, None]),
    (None, [(None, None)], [0]),
    (Any, [([1, {"a": 2}], [1, {"a": 2}])], []),
    (list[int], [([1, 2.0], [1, 2])], [[1, "2"], {}, "x"]),
    (list, [([1, "a"], [1, "a"])], [{}]),
    (Sequence[float], [([1, 2.5], [1.0, 2.5])], [["x"]]),
    (set[str], [(["a", "b"], {"a", "b"})], [[1]]),
    (frozenset[int], [([1], frozenset({1}))], [1]),
    (tuple[int, ...], [([1, 2], (1, 2))], [["a"]]),
    (tuple[int, str], [([1, "a"], (1, "a"))], [[1], [1, 2], [1, "a", 3]]),
    (dict[str, int], [({"a": 1}, {"a": 1})], [{"a": "b"}, []]),
    (dict[int, str], [({"1": "a"}, {1: "a"})], [{"x": "a"}]),
    (dict, [({"a": [1]}, {"a": [1]})], [[]]),
    (Optional[int], [(None, None), (3, 3)], ["x"]),
    (int | str, [(1, 1), ("1", "1")], [[], None]),
    (float | int, [(1, 1), (1.5, 1.5)], ["x"]),
    (Point | None, [(None, None), ({"x": 1}, Point(1.0))], [{"y": 1}, 5]),
    (Literal["a", 2], [("a", "a"), (2, 2)], ["b", 2.5, [1]]),
    (Color, [("red", Color.RED)], ["green", ["red"], {}]),
    (datetime, [("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))], ["yesterday", 5]),
    (date, [("2026-01-02", date(2026, 1, 2))], ["x"]),
    (UUID, [("12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678"))], ["x"]),
    (Decimal, [("1.10", Decimal("1.10"))], ["x", 1.1]),
    (Path, [("/a/b", Path("/a/b"))], [1]),
    (Point, [({"x": 1, "y": 2}, Point(1.0, 2.0))], [{}, {"x": "a"}, {"x": 1, "z": 1}, [1]]),
    (list[Point], [([{"x": 1}], [Point(1.0)])], [[{"x": 1}, {"x": None}]]),
    (Tree, [({"name": "a", "children": [{"name": "b"}]}, Tree("a", [Tree("b")]))], [{"name": "a", "children": [{}]}]),
    (Movie, [({"title": "M"}, {"title": "M"}), ({"title": "M", "year": 1931}, {"title": "M", "year": 1931})], [{}, {"title": "M", "year": "x"}]),
    (Pair, [([1], Pair(1)), ([1, "x"], Pair(1, "x"))], [[], ["a"]]),
    (Order, [({"id": 1, "at": "2026-01-02T00:00:00"}, Order(id=1, at=datetime(2026, 1, 2)))], [{"id": 0, "at": "2026-01-02T00:00:00"}, {}]),
    (UserId, [(1, 1)], ["x"]),
    (Annotated[int, "how many"], [(1, 1)], ["x"]),
    (hr.Blob, [({"$blob": "sha256:" + "0" * 64, "path": "/x"}, hr.Blob("sha256:" + "0" * 64))], ["x", {}]),
]


def function(hint: Any) -> Function:
    def f(x: Any) -> None: ...

    f.__annotations__ = {"x": hint, "return": None}
    return Function(f, "job", {})


@pytest.mark.parametrize(("hint", "good", "bad"), CASES, ids=lambda value: str(value)[:40] if not isinstance(value, list) else "")
def test_schema_and_decoder_agree(hint: Any, good: list[tuple[Any, Any]], bad: list[Any]) -> None:
    made = function(hint)
    Draft202012Validator.check_schema(made.args_schema)
    validator = Draft202012Validator(made.args_schema)
    for value, expected in good:
        data = json.dumps({"x": value}).encode()
        validator.validate({"x": value})
        decoded = made.decode(data)["x"]
        assert decoded == expected and type(decoded) is type(expected)
    for value in bad:
        with pytest.raises(ArgumentError, match=r"f\(\): x"):
            made.decode(json.dumps({"x": value}).encode())


def test_path_of_a_mismatch() -> None:
    with pytest.raises(ArgumentError, match=r"f\(\): x\[1\]\.y: expected a number, got a string 'b'"):
        function(list[Point]).decode(b'{"x":[{"x":1},{"x":1,"y":"b"}]}')


def test_recursive_type_has_a_definition() -> None:
    schema = function(Tree).args_schema
    assert schema["properties"]["x"] == {"$ref": "#/$defs/Tree"}
    assert schema["$defs"]["Tree"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}


def test_results() -> None:
    app = hr.App()

    @app.job()
    def tree() -> Tree:
        return Tree("a")
    @app.call()
    async def stream() -> AsyncIterator[int]:
        yield 1
    @app.job()
    def items() -> Iterator[Point]:
        yield Point(1)
    @app.batch()
    def embed(texts: list[str], sizes: list[int]) -> list[Point | Exception]:
        return []

    results = {name: f.result_schema for name, f in app.functions.items()}
    assert results["tree"]["$defs"]["Tree"]["required"] == ["name", "children", "size"]
    assert results["stream"] == {"type": "integer"}
    assert results["items"] == results["embed"]
    assert results["embed"]["required"] == ["x", "y"]


@pytest.mark.parametrize(("hint", "text"), [
    (bytes, "hr.Blob"), (complex, "builtins.complex has no JSON"), (Callable[[], int], "has no JSON"), (dict[Color, int], "keys"),
    (timedelta, "has no JSON"), (list[complex], "complex"), (typing.TypeVar("T"), "has no JSON")])
def test_unsupported_annotations_name_function_and_parameter(hint: Any, text: str) -> None:
    with pytest.raises(TypeError, match=r"f\(\): parameter 'x': .*" + text):
        function(hint)


def test_refused_functions() -> None:
    app = hr.App()
    with pytest.raises(TypeError, match="by name"):
        @app.job()
        def star(*args: int) -> None: ...
    with pytest.raises(TypeError, match="one element per task"):
        @app.batch()
        def single(x: int) -> list[int]:
            return []
    with pytest.raises(TypeError, match="no hr.Job"):
        @app.batch()
        def jobs(job: hr.Job, x: list[int]) -> list[int]:
            return x
    with pytest.raises(TypeError, match="needs a default"):
        @app.cron("* * * * *")
        def clock(x: int) -> None: ...
    with pytest.raises(TypeError, match="above the function"):
        @app.job()
        def early(x: Later) -> None: ...  # type: ignore[name-defined]  # noqa: F821
    with pytest.raises(ValueError, match="names no argument"):
        @app.job(key="airline")
        def keyed(x: int) -> None: ...

    @app.job()
    def twice() -> None: ...
    with pytest.raises(ValueError, match="registered twice"):
        app.job()(twice)


@pytest.mark.parametrize(("options", "error", "text"), [
    ({"timeout": 10}, TypeError, "has no unit"), ({"timeout": "10"}, ValueError, "not a duration"), ({"timeout": timedelta(-1)}, ValueError, "negative"),
    ({"retries": -1}, ValueError, "at least 0"), ({"retries": True}, TypeError, "integer"), ({"priority": "urgent"}, ValueError, "one of low"),
    ({"route": "reports"}, ValueError, "POST /reports"), ({"tags": "a"}, TypeError, "list of strings"), ({"queue": ""}, TypeError, "not empty"),
    ({"key_limit": 0}, ValueError, "at least 1"), ({"concurrency": 5}, ValueError, "async")])
def test_refused_options(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        @hr.App().job(**options)
        def f() -> None: ...


def test_options_and_types_survive() -> None:
    app = hr.App()

    @app.cron("0 6 * * mon-fri", timezone="Europe/Berlin", missed="once", timeout=timedelta(minutes=1), backoff="1m30s", expires="7d")
    def report(job: hr.Job, top: int = 3) -> int:
        return top

    assert report(hr.Job(), top=4) == 4
    assert app.functions["report"].options == {"cron": "0 6 * * mon-fri", "timezone": "Europe/Berlin", "missed": "once", "timeout": 60.0,
                                               "backoff": 90.0, "expires": 604800.0}


def test_job_without_headrace() -> None:
    job = hr.Job("test", checkpoint=[1])
    job.progress(1, 2)
    assert job.resume() == [1]
    job.checkpoint({"a": (1, 2)})
    assert job.resume() == {"a": [1, 2]}
    assert job.remaining() == float("inf")
    with pytest.raises(RuntimeError, match="nobody to ask"):
        job.enqueue("x")
    with pytest.raises(RuntimeError, match="no job is running"):
        hr.current_job()


def test_encode() -> None:
    import numpy as np

    assert json.loads(_json.encode({"p": Point(1), "t": Tree("a"), "c": Color.RED, "d": Decimal("1.5"), "n": np.arange(3), "f": np.float64(0.5),
                                    "i": np.int64(3), "o": Order(id=1, at=datetime(2026, 1, 1)), "u": UUID(int=0), "tuple": Pair(1)})) == {
        "p": {"x": 1, "y": 0}, "t": {"name": "a", "children": [], "size": 0}, "c": "red", "d": "1.5", "n": [0, 1, 2], "f": 0.5, "i": 3,
        "o": {"id": 1, "at": "2026-01-01T00:00:00"}, "u": "00000000-0000-0000-0000-000000000000", "tuple": [1, "r"]}
    assert json.loads(_json.encode({Color.RED: [{date(2026, 1, 1): 1}], 2: None})) == {"red": [{"2026-01-01": 1}], "2": None}
    loop: list[Any] = []
    loop.append(loop)
    for value in (float("nan"), [float("inf")], loop, {"a": b"x"}, np.array([float("nan")]), {(1, 2): 3}, lambda: 1, hr.Blob("")):
        with pytest.raises(_json.Unencodable):
            _json.encode(value)


def test_exports() -> None:
    assert hr.__all__ == sorted(hr.__all__) == [
        "App", "Blob", "Cancelled", "Client", "Connect", "Deny", "Disconnect", "Fail", "HeadraceError", "History", "Interrupted", "Job", "JobHandle", "Member",
        "Position", "Publication", "Retry", "Session", "Subscribe", "Subscription", "broadcast", "current_job", "disconnect", "history", "presence",
        "publish", "unsubscribe"]
    assert all(hasattr(hr, name) for name in hr.__all__)
