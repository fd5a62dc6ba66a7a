"""Makes data/ from pinned packages: the flights from the wheel of traffic (PyPI), the map from world-atlas (npm). Only the standard library is
needed. Run it again at will; what is there is kept."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = HERE / "data"
TRAFFIC = "traffic==2.13"
SAMPLE = "traffic/data/samples/collections/switzerland.json.gz"
SHA256 = "5e0cd61d931d03103294361542188f08f959a55e862d5cba80ab61291021e66c"  # of the wheel
ATLAS = HERE / "node_modules" / "world-atlas" / "countries-10m.json"

HOUR = 3600
GAP = 60  # seconds without a position, after which a flight begins anew
SHORTEST = 60  # seconds
AREA = (3.0, 43.5, 14.0, 50.5)  # west, south, east, north of what the map can show

Ring = list[tuple[float, float]]


def flights(path: Path) -> None:
    """One flight a line: its id, its transponder, its callsign, and its positions [second of the day, lat, lon, ft, kt, degrees, ft/min]."""
    rows = json.loads(gzip.decompress(sample()))
    seconds = [row["timestamp"] // 1000 for row in rows]
    midnight = min(seconds) // 86400 * 86400
    rows.sort(key=lambda row: (row["icao24"], row["timestamp"]))
    numbers: dict[str, int] = {}
    with path.open("w") as file:
        for icao24, positions in groupby(rows, key=lambda row: row["icao24"]):
            for part in parts(list(positions)):
                fixes = [fix(row, midnight) for row in part]
                if fixes[-1][0] - fixes[0][0] < SHORTEST:
                    continue
                numbers[icao24] = numbers.get(icao24, 0) + 1
                callsign = max((row["callsign"] for row in part), key=[row["callsign"] for row in part].count)
                file.write(json.dumps([f"{icao24}-{numbers[icao24]}", icao24, callsign, fixes], separators=(",", ":")) + "\n")


def parts(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The positions of an aircraft, cut where it was not seen for a while, and after an hour, since an hour is shown at once."""
    begun = 0
    for at in range(1, len(rows) + 1):
        if at == len(rows) or rows[at]["timestamp"] - rows[at - 1]["timestamp"] > GAP * 1000 or rows[at]["timestamp"] - rows[begun]["timestamp"] >= (HOUR - 60) * 1000:
            yield rows[begun:at]
            begun = at


def fix(row: dict[str, Any], midnight: int) -> list[float]:
    return [row["timestamp"] // 1000 - midnight, round(row["latitude"], 5), round(row["longitude"], 5), round(row["altitude"]),
            round(row["groundspeed"]), round(row["track"], 1) % 360, round(row["vertical_rate"])]


def sample() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "-d", folder, TRAFFIC], check=True)
        [wheel] = Path(folder).glob("*.whl")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != SHA256:
            sys.exit(f"{wheel.name} has the digest {digest}, not {SHA256}")
        with zipfile.ZipFile(wheel) as files:
            return files.read(SAMPLE)


def outline(path: Path) -> None:
    """The countries around: name and rings of [lon, lat]. What is far outside is coarse."""
    if not ATLAS.exists():
        sys.exit("world-atlas is not installed here; run: npm ci --ignore-scripts")
    atlas = json.loads(ATLAS.read_bytes())
    arcs = [list(decoded(arc, atlas["transform"])) for arc in atlas["arcs"]]
    found = []
    for country in atlas["objects"]["countries"]["geometries"]:
        shapes = country["arcs"] if country["type"] == "MultiPolygon" else [country["arcs"]]
        rings = [thin(ring(one, arcs)) for shape in shapes for one in shape]
        rings = [one for one in rings if seen(one)]
        if rings:
            found.append({"name": country["properties"]["name"], "rings": rings})
    path.write_text(json.dumps(found, separators=(",", ":"), ensure_ascii=False))


def decoded(arc: list[list[int]], transform: dict[str, list[float]]) -> Iterator[tuple[float, float]]:
    """Positions of a TopoJSON arc, which holds differences of whole numbers."""
    x = y = 0
    (scale_x, scale_y), (left, bottom) = transform["scale"], transform["translate"]
    for dx, dy in arc:
        x, y = x + dx, y + dy
        yield x * scale_x + left, y * scale_y + bottom


def ring(indexes: list[int], arcs: list[Ring]) -> Ring:
    """Arcs joined at their ends; a negative one is ~index, read backwards."""
    joined: Ring = []
    for index in indexes:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        joined += arc[1:] if joined else arc
    return joined


def thin(points: Ring) -> Ring:
    west, south, east, north = AREA
    far = [max(west - lon, lon - east, south - lat, lat - north) > 0 for lon, lat in points]
    return [(round(lon, 4), round(lat, 4)) for at, (lon, lat) in enumerate(points) if not far[at] or at % 25 == 0]


def seen(points: Ring) -> bool:
    west, south, east, north = AREA
    return any(west <= lon <= east and south <= lat <= north for lon, lat in points)


def main() -> None:
    (DATA / "map").mkdir(parents=True, exist_ok=True)
    for path, make in ((DATA / "flights.jsonl", flights), (DATA / "map" / "countries.json", outline)):
        if path.exists():
            continue
        print(f"making {path.relative_to(HERE)}", flush=True)
        half = path.with_suffix(".half")
        make(half)
        half.replace(path)


if __name__ == "__main__":
    main()
