"""How many tins are there: a SQLite file that all replicas of the service share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

PLENTY = 40  # tins of a paint that nobody has bought or counted yet

TABLES = """
CREATE TABLE IF NOT EXISTS stock (paint TEXT PRIMARY KEY, tins INTEGER NOT NULL CHECK (tins >= 0));
CREATE TABLE IF NOT EXISTS reservation (orders TEXT, paint TEXT, tins INTEGER NOT NULL, PRIMARY KEY (orders, paint));
CREATE TABLE IF NOT EXISTS change (number INTEGER PRIMARY KEY AUTOINCREMENT, paint TEXT NOT NULL, tins INTEGER NOT NULL);
"""


class SoldOut(Exception):
    """There are not enough tins of a paint."""

    def __init__(self, paint: str, left: int) -> None:
        super().__init__(paint)
        self.paint, self.left = paint, left


@dataclass(frozen=True)
class Change:
    """A paint, and how many tins of it there are now."""

    number: int
    paint: str
    tins: int


class Stock:
    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        with closing(self._open()) as db:
            db.execute("PRAGMA journal_mode = wal")
            db.executescript(TABLES)

    def of(self, paints: list[str]) -> dict[str, int]:
        """Tins of each of the paints."""
        with closing(self._open()) as db:
            marks = ",".join("?" * len(paints))
            counted = dict(db.execute(f"SELECT paint, tins FROM stock WHERE paint IN ({marks})", paints).fetchall())
        return {paint: counted.get(paint, PLENTY) for paint in paints}

    def count(self, paint: str, tins: int) -> None:
        """Somebody has counted the tins."""
        with self._write() as db:
            _put(db, paint, tins)

    def reserve(self, order: str, lines: Mapping[str, int]) -> list[str]:
        """Takes the tins of an order, all or none, and returns the paints whose stock has changed. An order that has its tins already keeps them."""
        with self._write() as db:
            if db.execute("SELECT 1 FROM reservation WHERE orders = ?", (order,)).fetchone():
                return []
            for paint, tins in lines.items():
                row = db.execute("SELECT tins FROM stock WHERE paint = ?", (paint,)).fetchone()
                left = (row[0] if row else PLENTY) - tins
                if left < 0:
                    raise SoldOut(paint, left + tins)
                _put(db, paint, left)
                db.execute("INSERT INTO reservation VALUES (?, ?, ?)", (order, paint, tins))
        return list(lines)

    def changes(self, after: int) -> list[Change]:
        """What has changed since a change, at most 100 of them; -1 gives the newest one alone."""
        with closing(self._open()) as db:
            if after < 0:
                rows = db.execute("SELECT number, paint, tins FROM change ORDER BY number DESC LIMIT 1").fetchall()
            else:
                rows = db.execute("SELECT number, paint, tins FROM change WHERE number > ? ORDER BY number LIMIT 100", (after,)).fetchall()
        return [Change(*row) for row in rows]

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.file, timeout=5, isolation_level=None)

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with closing(self._open()) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def _put(db: sqlite3.Connection, paint: str, tins: int) -> None:
    db.execute("INSERT INTO stock VALUES (?, ?) ON CONFLICT (paint) DO UPDATE SET tins = excluded.tins", (paint, tins))
    db.execute("INSERT INTO change (paint, tins) VALUES (?, ?)", (paint, tins))
