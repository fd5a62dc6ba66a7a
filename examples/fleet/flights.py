"""The flights of a day, folded into an hour: what flew at 9:20 and what flew at 17:20 is in the air at 20 minutes past every hour."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

HOUR = 3600
DATA = Path(__file__).parent / "data" / "flights.jsonl"


class Fix(NamedTuple):
    """Where an aircraft is, in the units of aviation."""

    second: int  # of the day
    latitude: float
    longitude: float
    altitude: float  # feet
    speed: float  # knots over ground
    heading: float  # degrees
    climb: float  # feet per minute


@dataclass
class Flight:
    """One flight over the country: its positions, ten seconds apart."""

    id: str
    icao24: str
    callsign: str
    fixes: list[Fix]

    @cached_property
    def seconds(self) -> list[int]:
        return [fix.second for fix in self.fixes]

    @cached_property
    def begins(self) -> int:
        """Second of the hour in which the flight is first seen. The recording has all positions at full ten seconds; here each flight is
        moved by up to nine, so that they report one after another as they did in the air."""
        return (self.seconds[0] + crc32(self.id.encode()) % 10) % HOUR

    @property
    def lasts(self) -> int:
        return self.seconds[-1] - self.seconds[0]

    def at(self, elapsed: int) -> Fix:
        """Where it is so many seconds after its beginning: on the line between two positions."""
        second = self.seconds[0] + elapsed
        after = bisect_right(self.seconds, second)
        if after == len(self.fixes):
            return self.fixes[-1]
        a, b = self.fixes[after - 1], self.fixes[after]
        share = (second - a.second) / (b.second - a.second)
        turn = (b.heading - a.heading + 180) % 360 - 180
        latitude, longitude, altitude, speed, climb = (x + (y - x) * share for x, y in (
            (a.latitude, b.latitude), (a.longitude, b.longitude), (a.altitude, b.altitude), (a.speed, b.speed), (a.climb, b.climb)))
        return Fix(second, latitude, longitude, altitude, speed, (a.heading + turn * share) % 360, climb)

    def reported(self, elapsed: int) -> Fix | None:
        """The position that it sent in exactly this second, if it did."""
        at = bisect_right(self.seconds, self.seconds[0] + elapsed) - 1
        fix = self.fixes[at]
        return fix if fix.second - self.seconds[0] == elapsed else None


@dataclass
class Day:
    """All flights, by the second of the hour in which they begin."""

    flights: list[Flight]

    @classmethod
    def load(cls, path: Path = DATA) -> Day:
        with path.open() as file:
            return cls([Flight(id, icao24, callsign, [Fix(*fix) for fix in fixes]) for id, icao24, callsign, fixes in map(json.loads, file)])

    def aloft(self, second: int) -> Iterator[tuple[Flight, int]]:
        """The flights that are in the air at a second since 1970, each with the seconds since it began."""
        for flight in self.flights:
            elapsed = (second - flight.begins) % HOUR
            if elapsed <= flight.lasts:
                yield flight, elapsed


def tile(fix: Fix) -> str:
    """The square degree of a position; its channel is fleet:TILE."""
    return f"{math.floor(fix.latitude)}-{math.floor(fix.longitude)}"
