"""Histograms of numbers that come once, in chunks, and whose range nobody knows beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

BINS = 512

Numbers = npt.NDArray[np.float64]


@dataclass
class Histogram:
    """Exact counts in at most BINS bins of width 2**exponent, aligned at zero. A value beyond them doubles the width, which merges
    pairs of bins, so one pass is enough and nothing is counted twice."""

    exponent: int | None = None
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, values: Numbers) -> None:
        if not len(values):
            return
        if self.exponent is None:
            self.exponent = self._first(values)
        bins, counts = np.unique(np.floor(np.ldexp(values, -self.exponent)), return_counts=True)
        for at, count in zip(bins.tolist(), counts.tolist()):
            self.counts[int(at)] = self.counts.get(int(at), 0) + count
        while max(self.counts) - min(self.counts) >= BINS:
            self._widen()

    def _first(self, values: Numbers) -> int:
        low, high = float(values.min()), float(values.max())
        finest = math.frexp(max(abs(low), abs(high)))[1] - 48  # finer bins could not be told apart in 53 bits
        if (values == np.floor(values)).all():
            finest = max(finest, 0)
        span = high - low
        return max(finest, math.frexp(span / BINS)[1]) if 0 < span < math.inf else finest + (40 if finest < 0 else 0)

    def _widen(self) -> None:
        assert self.exponent is not None
        self.exponent += 1
        merged: dict[int, int] = {}
        for at, count in self.counts.items():
            merged[at >> 1] = merged.get(at >> 1, 0) + count
        self.counts = merged

    def quantile(self, share: float) -> float | None:
        """The value below which `share` of the values lie, to within one bin; None if there are no values."""
        if self.exponent is None:
            return None
        wanted = share * sum(self.counts.values())
        for at in sorted(self.counts):
            if wanted <= self.counts[at]:
                return math.ldexp(at + wanted / self.counts[at], self.exponent)
            wanted -= self.counts[at]
        return math.ldexp(max(self.counts) + 1, self.exponent)

    def bars(self, most: int = 48) -> tuple[list[float], list[int], float]:
        """Left edges, counts and the width of at most `most` bars over the middle 98 % of the values."""
        if self.exponent is None:
            return [], [], 1.0
        low, high = self._bin_at(0.01), self._bin_at(0.99)
        step = -(-(high - low + 1) // most)
        starts = range(low, high + 1, step)
        width = math.ldexp(1.0, self.exponent)
        return ([at * width for at in starts], [sum(self.counts.get(at + i, 0) for i in range(step)) for at in starts], step * width)

    def _bin_at(self, share: float) -> int:
        wanted = share * sum(self.counts.values())
        for at in sorted(self.counts):
            wanted -= self.counts[at]
            if wanted <= 0:
                return at
        return max(self.counts)
