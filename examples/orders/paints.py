"""What the shop sells: paints with real names and colours, from the package color-name-list. Their prices are made up."""

from __future__ import annotations

import colorsys
import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NAMES = Path(__file__).parent / "node_modules/color-name-list/dist/colornames.bestof.json"
FAMILIES = ("red", "orange", "yellow", "green", "blue", "purple", "grey")
HUES = ((20, "red"), (45, "orange"), (70, "yellow"), (170, "green"), (260, "blue"), (330, "purple"), (360, "red"))  # degrees up to which a hue is called so


@dataclass(frozen=True)
class Paint:
    """A tin of 0.75 l. The price is in cents of a euro."""

    id: str
    name: str
    hex: str
    family: str
    price: int


@cache
def paints() -> dict[str, Paint]:
    """All of them by id, in the order of their names."""
    found: dict[str, Paint] = {}
    for one in json.loads(NAMES.read_text()):
        paint = made(one["name"], one["hex"])
        found.setdefault(paint.id, paint)
    return found


def made(name: str, code: str) -> Paint:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace("'", "")
    hue, lightness, saturation = colorsys.rgb_to_hls(*(int(code[at:at + 2], 16) / 255 for at in (1, 3, 5)))
    strong = saturation * (1 - abs(2 * lightness - 1))  # what much pigment is needed for
    family = "grey" if strong < 0.08 else next(called for end, called in HUES if hue * 360 <= end)
    return Paint(re.sub(r"[^a-z0-9]+", "-", plain).strip("-"), name, code, family, 1490 + 10 * round(strong * 150))
