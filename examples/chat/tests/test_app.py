"""The functions are plain Python: no headrace is needed to test them."""

from __future__ import annotations

import headrace as hr
import jwt
import pytest

import app as chat
from moderation import LIMIT, offence, without_secrets

KEY = "k" * 32


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "SECRET", "s" * 32)


def say(text: object, channel: str = "chat:lobby", id: object = "message-1") -> hr.Publication:
    return hr.Publication(channel, {"id": id, "text": text}, user="u")


def test_a_token_names_the_user() -> None:
    made = chat.token("  Ada   Lovelace ", KEY)
    assert isinstance(made, chat.Token) and made.name == "Ada Lovelace"
    claims = jwt.decode(made.token, "s" * 32, ["HS256"], audience="chat")
    assert claims["sub"] == made.user and claims["info"] == {"name": "Ada Lovelace"}


def test_a_user_is_who_has_the_key() -> None:
    first, again, other = chat.token("Ada", KEY), chat.token("Ada L", KEY), chat.token("Ada", "x" * 32)
    assert isinstance(first, chat.Token) and isinstance(again, chat.Token) and isinstance(other, chat.Token)
    assert first.user == again.user != other.user


@pytest.mark.parametrize("name", ["", "   ", "a" * 25, "tab\x00le", "you stupid asshole"])
def test_names_that_are_refused(name: str) -> None:
    assert isinstance(chat.token(name, KEY), chat.Refusal)


def test_a_key_that_could_be_guessed() -> None:
    assert isinstance(chat.token("Ada", "short"), chat.Refusal)


@pytest.mark.parametrize("text", ["good morning", "the build is broken again", "I'd kill for a coffee", "schön, daß es geht", "¿qué tal?", "👋"])
def test_what_may_be_said(text: str) -> None:
    [answer] = chat.moderate([say(f" {text}\n")])
    assert isinstance(answer, hr.Publication)
    assert answer.data["text"] == text and answer.data["id"] == "message-1" and answer.data["at"] > 1_600_000_000_000


@pytest.mark.parametrize("text", ["you are a stupid asshole", "shut up, idiot", "fuck off"])
def test_what_offends(text: str) -> None:
    [answer] = chat.moderate([say(text)])
    assert isinstance(answer, hr.Deny) and answer.code == 1000


@pytest.mark.parametrize("publication", [
    say(""), say(" \n "), say("a" * 2001), say(7), say(None), say("x", id=1), say("x", id=""), say("x", id="a b c d e f"), say("x", channel="chat:NO WAY"),
    hr.Publication("chat:lobby", "text"), hr.Publication("chat:lobby", None), hr.Publication("chat:lobby", []),
])
def test_what_is_no_message(publication: hr.Publication) -> None:
    [answer] = chat.moderate([publication])
    assert isinstance(answer, hr.Deny) and answer.code in (1001, 1002)


def test_a_batch_is_judged_one_by_one() -> None:
    answers = chat.moderate([say("hello"), say(""), say("fuck you"), say("bye")])
    assert [type(one) for one in answers] == [hr.Publication, hr.Deny, hr.Deny, hr.Publication]
    assert [one.data["text"] for one in answers if isinstance(one, hr.Publication)] == ["hello", "bye"]


def test_offence_orders_texts() -> None:
    kind, rude = offence(["thank you for your help", "you are a fucking idiot"])
    assert kind < 0.2 < LIMIT < rude
    assert offence([]) == []


@pytest.mark.parametrize(("text", "left"), [
    ("write to ada@example.org, please", "write to [address removed], please"),
    ("call +41 44 668 18 00 now", "call [number removed] now"),
    ("in 2018 there were 1,200 flights", "in 2018 there were 1,200 flights"),
    ("card 4111-1111-1111-1111", "card [number removed]"),
])
def test_secrets_are_taken_out(text: str, left: str) -> None:
    assert without_secrets(text) == left
