"""A job that never ends: it lets a recorded day fly again and publishes where everybody is, once a second."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import headrace as hr

from flights import Day, Flight, tile

app = hr.App()

Recording = Literal["switzerland-2018-08-01"]
AGAIN = 60  # seconds that a replay which begins looks back, to publish what the one before it could not


@app.job(queue="replay", retries=1000, unique="recording", route="POST /replay")
def replay(job: hr.Job, recording: Recording) -> None:
    """Runs until it is cancelled; a second one is never started. What it shows follows from the clock alone, so that after a restart it
    goes on with nothing to remember."""
    day = Day.load()
    shown: set[str] = set()
    second = int(time.time()) - AGAIN
    with ThreadPoolExecutor(16) as threads:  # each publication waits until it is durable; those of a second wait together
        while not job.cancelled:
            now = time.time()
            if second > now:
                time.sleep(second - now)
            if second >= int(now):  # where they are now; what is over interests nobody
                tiles = positions(day, second)
                list(threads.map(lambda name: hr.publish(f"fleet:{name}", {"at": round(time.time() * 1000), "aircraft": tiles.get(name, [])}, key=name),
                                 tiles.keys() | shown))
                shown = set(tiles)  # a square degree that has become empty is told once
            list(threads.map(lambda one: hr.publish(f"track:{one[0].id}", one[1], idempotency_key=f"{one[1]['begun']}/{one[1]['after']}"), reports(day, second)))
            second += 1


def reports(day: Day, second: int) -> list[tuple[Flight, dict[str, Any]]]:
    """What the aircraft reported in this second, for their tracks. `begun` tells this hour's flight from that of the hour before."""
    found = []
    for flight, elapsed in day.aloft(second):
        fix = flight.reported(elapsed)
        if fix is not None:
            found.append((flight, {"begun": second - elapsed, "after": elapsed, "at": [fix.latitude, fix.longitude], "altitude": fix.altitude}))
    return found


def positions(day: Day, second: int) -> dict[str, list[list[Any]]]:
    """Who is where, by tile: id, callsign, latitude, longitude, feet, knots, degrees, feet per minute."""
    tiles: dict[str, list[list[Any]]] = {}
    for flight, elapsed in day.aloft(second):
        fix = flight.at(elapsed)
        tiles.setdefault(tile(fix), []).append([flight.id, flight.callsign, round(fix.latitude, 5), round(fix.longitude, 5), round(fix.altitude),
                                                round(fix.speed), round(fix.heading, 1), round(fix.climb)])
    return tiles
