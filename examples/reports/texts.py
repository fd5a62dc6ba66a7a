"""Keywords of documents and documents like each other, by TF-IDF and cosine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from failure import fail

LARGEST = 64 * 1024 * 1024  # bytes of an uploaded text
MOST = 5_000  # documents


@dataclass
class Document:
    title: str
    text: str


def read(path: Path) -> list[Document]:
    """JSON lines with title and text, or plain text whose paragraphs are the documents."""
    if path.stat().st_size > LARGEST:
        raise fail("the text is larger than 64 MiB", "choose a part of it")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise fail("this is not a text in UTF-8", "save it as plain text in UTF-8") from None
    found = _lines(text) if text.lstrip().startswith("{") else _paragraphs(text)
    if len(found) < 3:
        raise fail(f"there are only {len(found)} documents in it", "separate the documents by empty lines, or send JSON lines with title and text")
    return found[:MOST]


def _lines(text: str) -> list[Document]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            one = json.loads(line)
            found.append(Document(str(one["title"]), str(one["text"])))
        except (ValueError, KeyError, TypeError):
            raise fail(f"line {number} is not a JSON object with title and text", "write one object a line") from None
    return found


def _paragraphs(text: str) -> list[Document]:
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    return [Document(part[:60] + ("…" if len(part) > 60 else ""), part) for part in parts if len(part.split()) >= 8]


class Index:
    """The documents as weights of their words."""

    def __init__(self, documents: Iterable[Document]) -> None:
        """Reads the documents once, so a generator may tell how far it is."""
        self._words = TfidfVectorizer(stop_words="english", sublinear_tf=True, max_df=0.6, token_pattern=r"(?u)\b[^\W\d_][^\W\d_]{2,}\b")
        try:
            self._weights: Any = self._words.fit_transform(document.text for document in documents)
        except ValueError:  # empty vocabulary
            raise fail("the documents have no words that tell them apart", "choose texts in English with more words") from None
        self._names = self._words.get_feature_names_out()

    def keywords(self, at: int, most: int) -> list[str]:
        """The words of one document that weigh most."""
        row = self._weights[at]
        order = np.argsort(-row.data)[:most]
        return [str(self._names[row.indices[one]]) for one in order]

    def neighbours(self, most: int) -> Iterator[list[tuple[int, float]]]:
        """For each document the ones most like it, best first."""
        for start in range(0, self._weights.shape[0], 256):
            scores = (self._weights[start:start + 256] @ self._weights.T).toarray()
            for at, row in enumerate(scores, start):
                row[at] = 0.0
                yield _best(row, most)

    def like(self, text: str, most: int) -> list[tuple[int, float]]:
        """The documents most like a text, best first."""
        return _best((self._words.transform([text]) @ self._weights.T).toarray()[0], most)


def _best(scores: Any, most: int) -> list[tuple[int, float]]:
    order = np.argsort(-scores, kind="stable")[:most]
    return [(int(at), round(float(scores[at]), 4)) for at in order if scores[at] > 0]
