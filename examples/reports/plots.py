"""Plots of a profile, as PNG files with a transparent ground, so that they suit a light page, a dark one and paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from table import Column, Profile

BLUE = "#3f7fbf"
INK = "#30343b"
MOST = 6  # columns of a kind

matplotlib.rcParams.update({
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#8a8f98", "axes.labelcolor": INK,
    "text.color": INK, "xtick.color": INK, "ytick.color": INK, "text.parse_math": False,
})


@dataclass
class Plot:
    """One picture and what it shows, for those who see it and those who do not."""

    group: str
    title: str
    description: str
    path: Path


def draw(profile: Profile, folder: Path) -> Iterator[Plot]:
    """Draws what the table has: distributions of its numbers and times, the most frequent values of its texts."""
    numeric = [column for column in profile.columns if column.kind != "text" and column.count]
    texts = [column for column in profile.columns if column.kind == "text" and len(column.words) > 1]
    texts = sorted(texts, key=lambda column: column.top(1)[0][1], reverse=True)
    for at, column in enumerate(numeric[:MOST]):
        path = folder / f"distribution-{at}.png"
        _save(column, _distribution, path)
        yield Plot("Distributions", column.name, f"Histogram of the middle 98 % of {column.name}", path)
    for at, column in enumerate(texts[:MOST]):
        path = folder / f"frequent-{at}.png"
        _save(column, _frequent, path)
        yield Plot("Most frequent values", column.name, f"Bars of the most frequent values of {column.name}", path)


def _save(column: Column, fill: Callable[[Axes, Column], None], path: Path) -> None:
    figure = Figure(figsize=(3.6, 2.4), layout="constrained")
    fill(figure.subplots(), column)
    figure.savefig(path, dpi=200, transparent=True)


def _distribution(axes: Axes, column: Column) -> None:
    starts, counts, width = column.bars()
    axes.bar(starts, counts, width=width * 0.94, align="edge", color=BLUE)
    axes.yaxis.set_major_formatter(lambda value, _: thousands(value))
    axes.locator_params(axis="x", nbins=5)
    axes.locator_params(axis="y", nbins=5)
    if column.kind == "time":
        span = width * len(starts)
        axes.xaxis.set_major_formatter(lambda value, _: moment(value, span))
        axes.locator_params(axis="x", nbins=3)
    else:
        axes.xaxis.set_major_formatter(lambda value, _: thousands(value))


def _frequent(axes: Axes, column: Column) -> None:
    top = column.top(8)[::-1]
    axes.barh([shorten(word, 22) for word, _ in top], [count for _, count in top], color=BLUE, height=0.72)
    axes.xaxis.set_major_formatter(lambda value, _: thousands(value))
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most - 1] + "…"


def thousands(value: float) -> str:
    """A number as short as an axis wants it: 12k, 3.5M."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):g}{unit}"
    return f"{value:g}"


def moment(seconds: float, span: float = 0) -> str:
    """A time in UTC, whole or with as much as an axis over that many seconds needs."""
    try:
        at = datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return "–"
    if span == 0:
        return at.strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")
    if span < 2 * 86_400:
        return at.strftime("%H:%M")
    return at.strftime("%Y-%m-%d") if span < 20 * 366 * 86_400 else at.strftime("%Y")
