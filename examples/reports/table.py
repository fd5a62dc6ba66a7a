"""A table of any length, read in chunks into statistics of bounded size."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd

from failure import fail
from histogram import Histogram, Numbers

CHUNK = 20_000  # rows
LOOK = 64 * 1024  # bytes read to find out what the file is
WORDS = 2_000  # different texts counted for a column
VALUES = 4_096  # different numbers counted for a column
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]  # "None" is a word: the damage of most bird strikes

Kind = Literal["number", "time", "text"]


@dataclass
class Column:
    """What is known of one column so far. Times are counted as seconds since 1970."""

    name: str
    kind: Kind
    count: int = 0
    missing: int = 0
    mean: float = 0.0
    squares: float = 0.0  # sum of squared differences from the mean
    low: float | None = None
    high: float | None = None
    histogram: Histogram = field(default_factory=Histogram)
    values: dict[float, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    complete: bool = True  # values or words has all there are

    def add(self, values: pd.Series[Any]) -> None:
        if self.kind == "text":
            self._add_words(values)
        else:
            self._add_numbers(numbers(values, self.kind))

    def _add_numbers(self, values: Numbers) -> None:
        known = values[np.isfinite(values)]
        self.missing += len(values) - len(known)
        if not len(known):
            return
        mean, before = float(known.mean()), self.count
        self.count += len(known)
        self.squares += float(((known - mean) ** 2).sum()) + (mean - self.mean) ** 2 * before * len(known) / self.count
        self.mean += (mean - self.mean) * len(known) / self.count
        low, high = float(known.min()), float(known.max())
        self.low = low if self.low is None else min(low, self.low)
        self.high = high if self.high is None else max(high, self.high)
        self.histogram.add(known)
        if self.complete:
            different, counts = np.unique(known, return_counts=True)
            for value, count in zip(different.tolist(), counts.tolist()):
                self.values[value] = self.values.get(value, 0) + count
            if len(self.values) > VALUES:
                self.values, self.complete = {}, False

    @property
    def median(self) -> float | None:
        """Exact while there are few different numbers, then to within one bin of the histogram."""
        if not self.complete:
            return self.histogram.quantile(0.5)
        seen = 0
        for value in sorted(self.values):
            seen += self.values[value]
            if 2 * seen >= self.count:
                return value
        return None

    def bars(self, most: int = 40) -> tuple[list[float], list[int], float]:
        """Left edges, counts and the width of at most `most` bars over the middle 98 % of the values, fine ones if all are known."""
        if not self.complete:
            return self.histogram.bars(most)
        values, counts = np.array(sorted(self.values.items())).T
        share = np.cumsum(counts) / self.count
        low, high = float(values[np.searchsorted(share, 0.01)]), float(values[np.searchsorted(share, 0.99)])
        width = (high - low) / (most - 1) or 1.0
        if (values == np.floor(values)).all():
            width = float(np.ceil(width))
        bars, _ = np.histogram(values, bins=most, range=(low, low + most * width), weights=counts)
        used = int((high - low) // width) + 1
        return [low + at * width for at in range(used)], bars[:used].astype(int).tolist(), width

    def _add_words(self, values: pd.Series[Any]) -> None:
        counts = values.value_counts()
        known = int(counts.sum())
        self.count += known
        self.missing += len(values) - known
        for word, count in counts.items():
            self.words[str(word)] = self.words.get(str(word), 0) + int(count)
        if len(self.words) > 2 * WORDS:
            self.words = dict(self.top(WORDS))
            self.complete = False

    def top(self, most: int) -> list[tuple[str, int]]:
        return sorted(self.words.items(), key=lambda one: (-one[1], one[0]))[:most]

    @property
    def deviation(self) -> float | None:
        return (self.squares / (self.count - 1)) ** 0.5 if self.count > 1 else None


@dataclass
class Profile:
    """All columns, and how far the file was read."""

    columns: list[Column]
    rows: int = 0

    def add(self, chunk: pd.DataFrame) -> None:
        for column in self.columns:
            column.add(chunk[column.name])
        self.rows += len(chunk)

    @classmethod
    def of(cls, state: dict[str, Any]) -> Profile:
        """The profile whose dataclasses.asdict was stored as JSON."""
        columns = []
        for known in state["columns"]:
            stored = known["histogram"]
            histogram = Histogram(stored["exponent"], {int(at): count for at, count in stored["counts"].items()})
            values = {float(value): count for value, count in known["values"].items()}
            columns.append(Column(**{**known, "histogram": histogram, "values": values}))
        return cls(columns, state["rows"])


def numbers(values: pd.Series[Any], kind: Kind) -> Numbers:
    """A column as floats; what is missing or of another kind is NaN."""
    if kind == "time":
        times = pd.to_datetime(values, errors="coerce", format="mixed", utc=True)
        found = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    else:
        found = pd.to_numeric(values, errors="coerce")
    return np.asarray(found.to_numpy(np.float64, na_value=np.nan))


@dataclass
class Layout:
    """How the file is written."""

    delimiter: str
    encoding: str
    columns: list[Column]


def layout(path: Path) -> Layout:
    """Looks at the beginning of a file; a file that is no table is refused."""
    with path.open("rb") as file:
        head = file.read(LOOK)
    if not head.strip():
        raise fail("the file is empty", "choose a CSV file with a header line and at least one row")
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")):
        raise fail("this is a picture, not a table", "choose it under Picture")
    if head.startswith(b"PK\x03\x04"):
        raise fail("this is a workbook or an archive, not a CSV file", "open it and save the sheet as CSV")
    if b"\0" in head:
        raise fail("this is not a text file", "save the table as CSV in UTF-8")
    encoding = "utf-8-sig"
    try:
        head[:head.rfind(b"\n") + 1 or len(head)].decode(encoding)
    except UnicodeDecodeError:
        encoding = "cp1252"
    text = head.decode(encoding, errors="replace")
    first = text.splitlines()[0]
    delimiter = max(",;\t|", key=lambda mark: len(next(csv.reader([first], delimiter=mark))))
    start = Layout(delimiter, encoding, [])
    with path.open("rb") as file:
        beginning = chunks(file, start, rows=1_000)
        sample = next(beginning, pd.DataFrame())
        beginning.close()
    start.columns = [Column(str(name), kind_of(sample[name])) for name in sample.columns]
    return start


def kind_of(values: pd.Series[Any]) -> Kind:
    known = values.dropna()
    if known.empty or known.str.fullmatch(r"0\d+").any():  # 00501 is a postal code, not a number
        return "text"
    if pd.to_numeric(known, errors="coerce").notna().mean() > 0.95:
        return "number"
    likely = known.str.contains(r"\d[-/.:]\d", regex=True).mean() > 0.95
    return "time" if likely and pd.to_datetime(known, errors="coerce", format="mixed", utc=True).notna().mean() > 0.95 else "text"


def chunks(file: IO[bytes], how: Layout, rows: int = CHUNK) -> Generator[pd.DataFrame, None, None]:
    """Reads the whole table. Columns of numbers are parsed by pandas, all others stay text. A malformed table ends in a failure that
    names the line."""
    texts = {column.name: "str" for column in how.columns if column.kind != "number"} if how.columns else "str"
    try:
        with pd.read_csv(file, sep=how.delimiter, encoding=how.encoding, dtype=texts, chunksize=rows, low_memory=False, index_col=False,
                         skipinitialspace=True, keep_default_na=False, na_values=MISSING) as found:
            yield from found
    except pd.errors.ParserError as error:
        raise fail(*explain(str(error))) from None
    except UnicodeDecodeError as error:
        raise fail(f"the file is not in {how.encoding}: {error.reason}", "save the table as CSV in UTF-8") from None


def explain(message: str) -> tuple[str, str]:
    """pandas' words for a malformed table, as what is wrong and what to do."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if found:
        expected, line, saw = found.groups()
        return f"line {line} has {saw} fields, but the lines above have {expected}", "put fields that contain the delimiter in double quotes"
    if "EOF inside string" in message:
        line = re.search(r"row (\d+)", message)
        return f"a quotation mark is opened{f' near line {int(line[1]) + 1}' if line else ''} and never closed", "close it, or double the quotation marks inside a field"
    return f"the table cannot be read: {message}", "open it in a spreadsheet and save it as CSV again"
