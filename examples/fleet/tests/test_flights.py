"""The functions are plain Python: no headrace is needed to test them."""

from __future__ import annotations

import pytest

import flights
from app import positions, reports
from flights import DATA, Day, Fix, Flight, tile


def flight(id: str, begin: int, count: int = 4) -> Flight:
    return Flight(id, id[:6], "TEST1", [Fix(begin + 10 * at, 46 + at * 0.02, 7 + at * 0.01, 1000.0 * at, 400, (350 + 10 * at) % 360, 0) for at in range(count)])


def test_between_two_positions() -> None:
    one = flight("aaaaaa-1", 7200)
    assert one.at(0) == one.fixes[0] and one.at(30) == one.fixes[3] and one.at(99) == one.fixes[3]
    middle = one.at(5)
    assert middle.latitude == pytest.approx(46.01) and middle.altitude == 500 and middle.heading == pytest.approx(355)
    assert one.at(15).heading == pytest.approx(5)  # not by way of the south


def test_reported_only_at_its_second() -> None:
    one = flight("aaaaaa-1", 7200)
    assert one.reported(10) == one.fixes[1] and one.reported(11) is None and one.reported(0) == one.fixes[0]


@pytest.fixture(autouse=True)
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "crc32", lambda _: 0)


def test_a_flight_goes_on_into_the_next_hour() -> None:
    day = Day([flight("aaaaaa-1", 3600 * 9 + 3590)])
    assert [(one.id, elapsed) for one, elapsed in day.aloft(3600 * 500 + 5)] == [("aaaaaa-1", 15)]
    assert list(day.aloft(3600 * 500 + 25)) == [] and list(day.aloft(3600 * 500 + 3589)) == []


def test_hours_are_folded() -> None:
    day = Day([flight("aaaaaa-1", 3600 * 9 + 60), flight("bbbbbb-1", 3600 * 17 + 60)])
    assert {one.id for one, _ in day.aloft(75)} == {"aaaaaa-1", "bbbbbb-1"}


def test_what_is_published() -> None:
    day = Day([flight("aaaaaa-1", 60)])
    assert positions(day, 65) == {"46-7": [["aaaaaa-1", "TEST1", 46.01, 7.005, 500, 400, 355.0, 0]]}
    assert reports(day, 65) == []
    [(one, data)] = reports(day, 70)
    assert one.id == "aaaaaa-1" and data == {"begun": 60, "after": 10, "at": [46.02, 7.01], "altitude": 1000.0}
    assert positions(day, 200) == {}


def test_tiles() -> None:
    assert tile(Fix(0, 46.999, 7.001, 0, 0, 0, 0)) == "46-7" and tile(Fix(0, 47.0, 6.99, 0, 0, 0, 0)) == "47-6"


@pytest.mark.skipif(not DATA.exists(), reason="prepare.py has not run")
def test_the_recorded_day() -> None:
    day = Day.load()
    assert len({one.id for one in day.flights}) == len(day.flights) > 1000
    for second in range(0, 3600, 600):
        count = sum(len(tile) for tile in positions(day, second).values())
        assert 300 < count < 500
    assert all(one.lasts < 3600 and one.seconds == sorted(set(one.seconds)) for one in day.flights)
