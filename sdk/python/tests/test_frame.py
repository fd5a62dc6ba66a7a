"""Golden bytes and garbage."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from headrace import _frame

VECTORS = json.loads((Path(__file__).resolve().parents[3] / "spec" / "vectors" / "frames.json").read_text())
FRAMES: list[dict[str, Any]] = VECTORS["frames"]
INVALID: list[dict[str, Any]] = VECTORS["invalid"]


def name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", FRAMES, ids=name)
def test_golden(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    reader = _frame.Reader()
    [(kind, stream, body)] = reader.feed(data)
    assert not reader.partial
    assert (kind, str(stream), len(body)) == (vector["code"], vector["stream"], vector["length"])
    assert kind == getattr(_frame, vector["kind"].upper())
    assert _frame.encode(kind, stream, body) == data
    if "json" in vector:
        assert json.loads(body) == vector["json"]
    elif kind == _frame.TASK:
        assert [dict(task=str(t), function=f, meta=m.decode(), args=a.decode()) for t, f, m, a in _frame.tasks(body)] == vector["tasks"]
    elif kind == _frame.BATCH:
        function, items = _frame.batch(body)
        assert function == vector["function"]
        assert [dict(task=str(t), meta=m.decode(), args=a.decode()) for t, m, a in items] == vector["tasks"]
    elif kind == _frame.CREDIT:
        assert _frame.credit(vector["credit"]) == data
    elif kind == _frame.RESULT:
        assert b"".join(_frame.result(int(r["task"]), r["micros"], r["json"].encode()) for r in vector["results"]) == body
    elif kind in (_frame.PING, _frame.PONG):
        assert body.hex() == vector["bytes"]
    else:
        assert kind == _frame.DRAIN and not body


def test_vectors_cover_every_kind() -> None:
    assert {vector["code"] for vector in FRAMES} == set(range(1, 21))


@pytest.mark.parametrize("vector", [v for v in INVALID if v["at"] == "header"], ids=name)
def test_header_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(_frame.ProtocolError):
        list(_frame.Reader().feed(bytes.fromhex(vector["hex"])))


@pytest.mark.parametrize("vector", [v for v in INVALID if v["at"] == "end"], ids=name)
def test_end_inside_a_frame(vector: dict[str, Any]) -> None:
    reader = _frame.Reader()
    assert list(reader.feed(bytes.fromhex(vector["hex"]))) == []
    assert reader.partial


@pytest.mark.parametrize("vector", [v for v in INVALID if v["at"] == "container" and not v["name"].startswith("result")], ids=name)
def test_container_refused(vector: dict[str, Any]) -> None:
    [(kind, _, body)] = _frame.Reader().feed(bytes.fromhex(vector["hex"]))
    with pytest.raises(_frame.ProtocolError):
        _frame.tasks(body) if kind == _frame.TASK else _frame.batch(body)


def test_any_split_gives_the_same_frames() -> None:
    data = b"".join(bytes.fromhex(vector["hex"]) for vector in FRAMES)
    whole = list(_frame.Reader().feed(data))
    rng = random.Random(1)
    for size in (1, 2, 15, 16, 17, 1000):
        reader, found, at = _frame.Reader(), [], 0
        while at < len(data):
            step = rng.randint(1, size)
            found += list(reader.feed(data[at : at + step]))
            at += step
        assert found == whole


@pytest.mark.parametrize("seed", range(300))
def test_garbage_is_refused_or_frames(seed: int) -> None:
    """Whatever comes, the decoders raise ProtocolError or give frames within the limits, and never anything else."""
    rng = random.Random(seed)
    data = bytearray(b"".join(bytes.fromhex(rng.choice(FRAMES)["hex"]) for _ in range(3)))
    for _ in range(rng.randint(1, 12)):
        choice = rng.random()
        if choice < 0.6:
            data[rng.randrange(len(data))] = rng.randrange(256)
        elif choice < 0.8:
            del data[rng.randrange(len(data)) :][: rng.randint(0, 20)]
        else:
            data += rng.randbytes(rng.randint(1, 40))
        if not data:
            data = bytearray(rng.randbytes(20))
    reader = _frame.Reader()
    try:
        for at in range(0, len(data), 37):
            for kind, stream, body in reader.feed(bytes(data[at : at + 37])):
                assert 1 <= kind <= 20 and 0 <= stream < 1 << 64 and len(body) <= _frame.MAX_BODY
                if kind == _frame.TASK:
                    assert sum(20 + len(m) + len(a) for _, _, m, a in _frame.tasks(body)) == len(body)
                elif kind == _frame.BATCH:
                    assert 8 + sum(16 + len(m) + len(a) for _, m, a in _frame.batch(body)[1]) == len(body)
    except _frame.ProtocolError:
        pass


def test_largest_body() -> None:
    body = bytes(_frame.MAX_BODY)
    [(kind, stream, found)] = _frame.Reader().feed(_frame.encode(_frame.CHUNK, 1, body))
    assert (kind, stream, len(found)) == (_frame.CHUNK, 1, _frame.MAX_BODY)
    with pytest.raises(_frame.ProtocolError):
        list(_frame.Reader().feed(struct.pack("<IBBHQ", _frame.MAX_BODY + 1, 1, _frame.CHUNK, 0, 1)))
