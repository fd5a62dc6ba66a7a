import numpy as np
import pytest

from histogram import BINS, Histogram


def test_counts_are_exact_whatever_the_order() -> None:
    values = np.random.default_rng(1).lognormal(3, 2, 50_000)
    forth, back = Histogram(), Histogram()
    for part in np.array_split(values, 37):
        forth.add(part)
    for part in np.array_split(values[::-1], 11):
        back.add(part)
    for one in (forth, back):
        assert sum(one.counts.values()) == len(values)
        assert max(one.counts) - min(one.counts) < BINS
    width = 2.0 ** (forth.exponent or 0)
    assert forth.counts == {int(at): int((np.floor(values / width) == at).sum()) for at in np.unique(np.floor(values / width))}


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [-1e308, 1e308], [1e-300, 2e-300], [1e15, 1e15 + 1], [-3.0, 0.0, 7.0]])
def test_any_range(values: list[float]) -> None:
    histogram = Histogram()
    histogram.add(np.array(values))
    histogram.add(np.array([0.0]))
    assert sum(histogram.counts.values()) == len(values) + 1
    starts, counts, width = histogram.bars()
    assert len(starts) == len(counts) <= 48 and width > 0


def test_quantile_is_within_a_bin() -> None:
    histogram = Histogram()
    values = np.random.default_rng(2).normal(100, 15, 10_000)
    histogram.add(values)
    found = histogram.quantile(0.5)
    assert found is not None and abs(found - float(np.median(values))) <= 2.0 ** (histogram.exponent or 0)


def test_empty() -> None:
    histogram = Histogram()
    histogram.add(np.array([]))
    assert histogram.quantile(0.5) is None and histogram.bars() == ([], [], 1.0)
