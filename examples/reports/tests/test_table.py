import dataclasses
import json
from pathlib import Path
from typing import Any

import headrace as hr
import numpy as np
import pandas as pd
import pytest

import app
import table


class Recorded(hr.Job):
    """A job that talks to nobody and remembers what it was told."""

    def __init__(self, *, checkpoint: Any = None, cancel_after: int | None = None) -> None:
        super().__init__(checkpoint=checkpoint)
        self.told: list[tuple[float, str | None]] = []
        self.cancel_after = cancel_after

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        super().progress(done, total, note)
        self.told.append((done, note))
        self.cancelled = len(self.told) == self.cancel_after


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    rows = 65_000
    frame = pd.DataFrame({
        "when": pd.date_range("2001-01-01", periods=rows, freq="min"), "delay": rng.integers(-30, 300, rows), "load": rng.normal(0.5, 0.1, rows),
        "city": rng.choice(["Ulm", "Köln", "Bonn"], rows, p=[0.5, 0.3, 0.2]), "zip": [f"0{at % 90_000:05d}" for at in range(rows)],
    })
    frame.loc[::10, "delay"] = np.nan
    path = tmp_path / "numbers.csv"
    frame.to_csv(path, index=False)
    return path


def test_the_figures_are_those_of_the_whole_table(numbers: Path) -> None:
    job = Recorded()
    profile = app.read(job, numbers)
    whole = pd.read_csv(numbers)
    assert profile.rows == len(whole) == 65_000
    when, delay, load, city, code = profile.columns
    assert [one.kind for one in profile.columns] == ["time", "number", "number", "text", "text"]
    assert delay.missing == whole.delay.isna().sum() and delay.count == whole.delay.count()
    assert delay.mean == pytest.approx(whole.delay.mean()) and delay.deviation == pytest.approx(whole.delay.std())
    assert delay.median == whole.delay.median() and (delay.low, delay.high) == (whole.delay.min(), whole.delay.max())
    assert load.median == pytest.approx(whole.load.median(), abs=0.01)
    assert city.top(3) == [(str(name), int(count)) for name, count in whole.city.value_counts().items()]
    assert code.missing == 0 and not code.complete
    assert app.describe(when, 3).low == "2001-01-01"
    done = [one for one, _ in job.told]
    assert len(done) == 4 and done == sorted(done) and done[-1] == 80


def test_a_checkpoint_goes_on_where_it_was(numbers: Path) -> None:
    whole = app.read(Recorded(), numbers)
    first = table.Profile(table.layout(numbers).columns)
    with numbers.open("rb") as file:
        chunks = table.chunks(file, table.Layout(",", "utf-8-sig", first.columns))
        first.add(next(chunks))
        first.add(next(chunks))
        chunks.close()
    stored = json.loads(json.dumps(dataclasses.asdict(first)))
    job = Recorded(checkpoint=stored)
    resumed = app.read(job, numbers)
    assert resumed == whole
    assert [note for _, note in job.told] == ["going on after row 40,000"] * 2 + ["read 60,000 rows", "read 65,000 rows"]


def test_a_cancelled_run_ends_at_the_next_chunk(numbers: Path) -> None:
    job = Recorded(cancel_after=2)
    with pytest.raises(hr.Cancelled):
        app.read(job, numbers)
    assert len(job.told) == 2


@pytest.mark.parametrize(("content", "what", "hint"), [
    (b"", "the file is empty", "header line"),
    (b"a,b\n", "a header and no rows", "at least one row"),
    (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, but the lines above have 2", "double quotes"),
    (b'a,b\n1,"2\n3,4\n', "never closed", "close it"),
    (b"\x89PNG\r\n\x1a\n....", "a picture, not a table", "under Picture"),
    (b"PK\x03\x04....", "a workbook", "as CSV"),
    (b"a,b\n1,\0\n", "not a text file", "UTF-8"),
])
def test_what_is_no_table_is_refused_with_a_hint(tmp_path: Path, content: bytes, what: str, hint: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(hr.Fail) as failure:
        app.read(Recorded(), path)
    told, _, next_step = str(failure.value).partition("\nhint: ")
    assert what in told and hint in next_step


@pytest.mark.parametrize(("content", "columns"), [
    ("a;b\n1,5;2\n", ["a", "b"]), ("a\tb\n1\t2\n", ["a", "b"]), ("\ufeffa,b\n1,2\n", ["a", "b"]), ("only\n1\n2\n", ["only"]),
])
def test_delimiters(tmp_path: Path, content: str, columns: list[str]) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content, encoding="utf-8")
    assert [one.name for one in app.read(Recorded(), path).columns] == columns


def test_western_letters_of_an_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("Straße,Größe\nAllee,1\n".encode("cp1252"))
    assert [one.name for one in app.read(Recorded(), path).columns] == ["Straße", "Größe"]
