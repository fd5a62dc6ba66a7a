"""Reports on tables, pictures and texts: three kinds of heavy work behind one page."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import headrace as hr

import document
import picture
import plots
import table
import texts
from failure import fail
from samples import SAMPLES, CorpusName, PictureName, Sample, TableName

app = hr.App()


@dataclasses.dataclass
class Choice:
    """A data set that the page offers."""

    name: str
    kind: str
    title: str
    about: str
    licence: str
    size: int  # bytes; 0 if `make demo` has not made it yet


@app.call(route="GET /samples", timeout="5s")
def samples() -> list[Choice]:
    """The data sets that can be chosen instead of an upload."""
    return [Choice(one.name, one.kind, one.title, one.about, one.licence, one.path.stat().st_size if one.path.exists() else 0)
            for one in SAMPLES.values()]


@dataclasses.dataclass
class Figures:
    """One column in figures. Times are in UTC."""

    name: str
    kind: str
    count: int
    missing: int
    low: str
    median: str
    mean: str
    high: str
    deviation: str
    distinct: str
    top: list[tuple[str, int]]


@dataclasses.dataclass
class Picture:
    """A plot of one column."""

    group: str
    title: str
    description: str
    image: hr.Blob


@dataclasses.dataclass
class Report:
    """What a table is like."""

    title: str
    rows: int
    columns: list[Figures]
    plots: list[Picture]
    pdf: hr.Blob
    seconds: float
    resumed_at: int  # rows that an earlier attempt had read; 0 if this one began


@app.job(queue="reports", retries=3, timeout="10m", route="POST /reports")
def report(job: hr.Job, table: hr.Blob, top: int = 8) -> Report:
    """Analyses an uploaded CSV in chunks."""
    return analyse(job, table.path, Path(table.name).name or "Table", top)


@app.job(queue="reports", retries=3, timeout="10m", route="POST /reports/samples/{name}")
def report_sample(job: hr.Job, name: TableName, top: int = 8) -> Report:
    """Analyses a prepared table."""
    sample = prepared(name)
    return analyse(job, sample.path, sample.title, top)


def analyse(job: hr.Job, path: Path, title: str, top: int) -> Report:
    began = time.monotonic()
    if not 1 <= top <= 100:
        raise fail(f"top is {top}", "ask for 1 to 100 values")
    resumed = job.resume()
    profile = read(job, path)
    job.progress(82, 100, "drawing")
    figures = [describe(column, top) for column in profile.columns]
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        drawn = []
        for plot in plots.draw(profile, folder):
            drawn.append(plot)
            stop_if_cancelled(job)
            job.progress(82 + len(drawn) / 2, 100, f"drawn {plot.title}")
        job.progress(92, 100, "writing the PDF")
        pdf = folder / f"{Path(title).stem}.pdf"
        document.write(pdf, title, f"{profile.rows:,} rows, {len(profile.columns)} columns", sections(figures), drawn)
        pictures = [Picture(one.group, one.title, one.description, job.blob(one.path, move=True)) for one in drawn]
        stored = job.blob(pdf, move=True)
    job.progress(100, 100, "done")
    return Report(title, profile.rows, figures, pictures, stored, round(time.monotonic() - began, 2), resumed["rows"] if resumed else 0)


def read(job: hr.Job, path: Path) -> table.Profile:
    """Reads a table to its end, from where an earlier attempt stored that it was."""
    how = table.layout(path)
    state = job.resume()
    profile = table.Profile.of(state) if state else table.Profile(how.columns)
    how.columns = profile.columns
    size, done, stored = path.stat().st_size, 0, time.monotonic()
    with path.open("rb") as file:
        for chunk in table.chunks(file, how):
            stop_if_cancelled(job)
            done += len(chunk)
            if done <= profile.rows:
                job.progress(80 * file.tell() / size, 100, f"going on after row {profile.rows:,}")
                continue
            profile.add(chunk)
            job.progress(round(80 * file.tell() / size, 1), 100, f"read {profile.rows:,} rows")
            if time.monotonic() - stored > 0.5:
                job.checkpoint(dataclasses.asdict(profile))
                stored = time.monotonic()
    if not profile.rows:
        raise fail("the table has a header and no rows", "choose a CSV file with at least one row")
    return profile


def describe(column: table.Column, top: int) -> Figures:
    figures = Figures(column.name, column.kind, column.count, column.missing, "", "", "", "", "", "", [])
    if column.kind == "text":
        figures.distinct = f"{len(column.words):,}" if column.complete else f"over {len(column.words):,}"
        figures.top = column.top(top)
        return figures
    for name, value in (("low", column.low), ("median", column.median), ("mean", column.mean), ("high", column.high)):
        if value is not None and column.count:
            setattr(figures, name, plots.moment(value) if column.kind == "time" else number(value))
    if column.kind == "number" and column.deviation is not None:
        figures.deviation = number(column.deviation)
    return figures


def number(value: float) -> str:
    if value == 0 or 1e-3 <= abs(value) < 1e15:
        return f"{value:,.0f}" if value == int(value) or abs(value) >= 1e5 else f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4f}"
    return f"{value:.3e}"


def sections(figures: list[Figures]) -> list[document.Section]:
    """The tables of the PDF."""
    numeric = [one for one in figures if one.kind != "text"]
    written = [one for one in figures if one.kind == "text"]
    made = []
    if numeric:
        made.append(document.Section("Numbers and times", ["Column", "Values", "Missing", "Lowest", "Median", "Mean", "Highest", "Deviation"], [
            [one.name, f"{one.count:,}", f"{one.missing:,}", one.low, one.median, one.mean, one.high, one.deviation] for one in numeric
        ], [0.18, 0.11, 0.1, 0.12, 0.12, 0.12, 0.12, 0.13]))
    if written:
        made.append(document.Section("Texts", ["Column", "Values", "Missing", "Different", "Most frequent"], [
            [one.name, f"{one.count:,}", f"{one.missing:,}", one.distinct, ", ".join(plots.shorten(word, 30) for word, _ in one.top[:3])] for one in written
        ], [0.26, 0.12, 0.1, 0.12, 0.4], left=(0, 4)))
    return made


@dataclasses.dataclass
class Version:
    """A picture in one size and format."""

    format: str
    width: int
    height: int
    file: hr.Blob


@dataclasses.dataclass
class Pictures:
    """A picture in all sizes and formats."""

    title: str
    width: int
    height: int
    size: int  # bytes
    versions: list[Version]


SIZES = (1600, 800, 400, 160)


@app.job(queue="pictures", retries=1, timeout="2m", route="POST /pictures")
def resize(job: hr.Job, picture: hr.Blob, sizes: list[int] = list(SIZES)) -> Pictures:
    """Writes an uploaded picture in several widths as JPEG, WebP and AVIF; never wider than it is."""
    return shrink(job, picture.path, picture.name or "picture", sizes)


@app.job(queue="pictures", retries=1, timeout="2m", route="POST /pictures/samples/{name}")
def resize_sample(job: hr.Job, name: PictureName, sizes: list[int] = list(SIZES)) -> Pictures:
    """Writes a prepared picture in several widths."""
    sample = prepared(name)
    return shrink(job, sample.path, sample.title, sizes)


def shrink(job: hr.Job, path: Path, title: str, sizes: list[int]) -> Pictures:
    job.progress(0, 100, "reading")
    source = picture.load(path)
    total = len(picture.widths(source.width, sizes)) * len(picture.FORMATS)
    result = Pictures(title, source.width, source.height, path.stat().st_size, [])
    with TemporaryDirectory() as folder:
        for one in picture.versions(source, sizes, Path(folder), Path(title).stem):
            stop_if_cancelled(job)
            result.versions.append(Version(one.format, one.width, one.height, job.blob(one.path, move=True)))
            job.progress(len(result.versions), total, f"{one.format} {one.width} × {one.height}")
    return result


@dataclasses.dataclass
class Similar:
    """A document and how much it is like another, from 0 to 1."""

    at: int  # place in documents
    score: float


@dataclasses.dataclass
class Described:
    """A document in keywords."""

    title: str
    words: int
    keywords: list[str]
    similar: list[Similar]


@dataclasses.dataclass
class Keywords:
    """A corpus in keywords."""

    title: str
    documents: list[Described]
    matches: list[Similar]  # documents most like the text that was asked about


@app.job(queue="texts", retries=1, timeout="5m", route="POST /keywords")
def keywords(job: hr.Job, texts: hr.Blob, like: str = "") -> Keywords:
    """Finds keywords and similar documents in an uploaded text: JSON lines, or paragraphs."""
    return compare(job, texts.path, texts.name or "Texts", like)


@app.job(queue="texts", retries=1, timeout="5m", route="POST /keywords/samples/{name}")
def keywords_sample(job: hr.Job, name: CorpusName, like: str = "") -> Keywords:
    """Finds keywords and similar documents in a prepared corpus."""
    sample = prepared(name)
    return compare(job, sample.path, sample.title, like)


def compare(job: hr.Job, path: Path, title: str, like: str) -> Keywords:
    job.progress(0, 100, "reading")
    documents = texts.read(path)
    index = texts.Index(watched(job, documents))
    job.progress(90, 100, "comparing")
    result = Keywords(title, [], [Similar(at, score) for at, score in index.like(like, 10)] if like.strip() else [])
    for at, (one, near) in enumerate(zip(documents, index.neighbours(5))):
        result.documents.append(Described(one.title, len(one.text.split()), index.keywords(at, 8), [Similar(*other) for other in near]))
    job.progress(100, 100, "done")
    return result


def watched(job: hr.Job, documents: list[texts.Document]) -> Iterator[texts.Document]:
    """Hands out documents and tells how far it is."""
    step = max(1, len(documents) // 40)
    for at, one in enumerate(documents):
        if at % step == 0:
            stop_if_cancelled(job)
            job.progress(round(90 * at / len(documents), 1), 100, f"read {at} of {len(documents)} documents")
        yield one


def prepared(name: str) -> Sample:
    sample = SAMPLES[name]
    if not sample.path.exists():
        raise fail(f"the data set {name} is not there", "make it with: python examples/reports/prepare.py")
    return sample


def stop_if_cancelled(job: hr.Job) -> None:
    """Ends a run that nobody wants any more, at a place where nothing is half done."""
    if job.cancelled:
        raise hr.Cancelled
