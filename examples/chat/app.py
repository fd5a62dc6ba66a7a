"""A chat: who somebody is, and what may be said."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
import unicodedata
from dataclasses import dataclass

import headrace as hr
import jwt

from moderation import LIMIT, offence, without_secrets

app = hr.App()

SECRET = os.environ.get("CHAT_SECRET", "")
LIFETIME = 600  # seconds of a token; the page gets the next one by itself
LONGEST_NAME, LONGEST_TEXT = 24, 2000  # characters
ROOM = re.compile(r"chat:[a-z0-9-]{1,24}")
ID = re.compile(r"[\w-]{8,40}")


@dataclass
class Token:
    """Lets a browser connect as this user."""

    token: str
    user: str
    name: str


@dataclass
class Refusal:
    """Why there is no token."""

    refused: str


@app.call(route="POST /token", timeout="5s")
def token(name: str, key: str) -> Token | Refusal:
    """A connection token for a person who says how to be called. There are no accounts here: `key` is a secret that the browser made for
    itself and keeps, and a user is who has it. An application with accounts looks at its session cookie instead."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_NAME or not all(unicodedata.category(one)[0] in "LMNPSZ" for one in name):
        return Refusal(f"A name has 1 to {LONGEST_NAME} letters.")
    if len(key) < 20:
        return Refusal("The key is too short; reload the page.")
    if offence([name])[0] > LIMIT:
        return Refusal("This name may offend people here. Choose another one.")
    user = hmac.digest(SECRET.encode(), key.encode(), hashlib.sha256).hex()[:16]
    claims = {"sub": user, "aud": "chat", "exp": int(time.time()) + LIFETIME, "info": {"name": name}}
    return Token(jwt.encode(claims, SECRET, "HS256"), user, name)


@app.on_publish("chat:*", batch=32, wait="5ms", timeout="5s")
def moderate(publications: list[hr.Publication]) -> list[hr.Publication | hr.Deny | None]:
    """Judges what people want to say before anybody sees it; all that arrives within 5 ms in one call of the model."""
    texts = [said(one) for one in publications]
    scores = iter(offence([one for one in texts if isinstance(one, str)]))
    return [one if isinstance(one, hr.Deny) else judged(publication, one, next(scores)) for publication, one in zip(publications, texts)]


def said(publication: hr.Publication) -> str | hr.Deny:
    """The text of a publication, or why it is none. Clients can send anything."""
    match publication.data:
        case {"id": str(id), "text": str(text)} if ID.fullmatch(id) and ROOM.fullmatch(publication.channel):
            text = text.strip()
            return text if 0 < len(text) <= LONGEST_TEXT else hr.Deny(f"A message has 1 to {LONGEST_TEXT} characters.", code=1002)
    return hr.Deny("This is not a message.", code=1001)


def judged(publication: hr.Publication, text: str, score: float) -> hr.Publication | hr.Deny:
    if score > LIMIT:
        return hr.Deny("This may offend people here, so nobody has seen it. Say it in other words?", code=1000)
    return publication.amended({"id": publication.data["id"], "text": without_secrets(text), "at": time.time_ns() // 1_000_000})
