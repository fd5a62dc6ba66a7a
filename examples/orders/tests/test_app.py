"""The functions, the services' code and the document are plain Python: no headrace is needed to test them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import headrace as hr
import jwt
import pytest

import app as worker
from catalogue.stock import PLENTY, SoldOut, Stock
from paints import FAMILIES, made, paints

HERE = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SECRET", "s" * 32)


def test_paints_are_real() -> None:
    assert len(paints()) == 4961
    assert paints()["3am-latte"].hex == "#c0a98e"
    assert {paint.family for paint in paints().values()} == set(FAMILIES)
    assert all(1490 <= paint.price <= 2990 for paint in paints().values())


@pytest.mark.parametrize("code, family", [("#ff0000", "red"), ("#ff8800", "orange"), ("#ffff00", "yellow"), ("#00ff00", "green"), ("#0000ff", "blue"),
                                          ("#aa00ff", "purple"), ("#ff0011", "red"), ("#777777", "grey"), ("#ffffff", "grey")])
def test_a_colour_has_a_family(code: str, family: str) -> None:
    assert made("À l’Orange", code).family == family
    assert made("À l’Orange", code).id == "a-lorange"


def test_a_login_names_the_customer() -> None:
    login = worker.login("  Ann ")
    assert login.customer == "ann"
    claims = jwt.decode(login.token, "s" * 32, ["HS256"], audience="shop")
    assert claims["sub"] == "ann" and claims["scope"] == "orders" and claims["exp"] == login.expires


@pytest.mark.parametrize("name, status", [("", 422), ("a", 422), ("1a", 422), ("a b", 422), ("x" * 33, 422), ("anna/../bob", 422), ("orders", 401), ("Worker", 401)])
def test_a_name_is_refused(name: str, status: int) -> None:
    with pytest.raises(hr.Fail) as refused:
        worker.login(name)
    assert refused.value.status == status


def test_ten_tins_are_a_tenth_cheaper() -> None:
    price = paints()["acid"].price
    quote = worker.quote([worker.Line("acid", 10), worker.Line("acai", 9)])
    assert quote.discount == price and quote.total == 9 * price + 9 * paints()["acai"].price
    assert quote.vat == round(quote.total * 19 / 119)


@pytest.mark.parametrize("lines", [[], [worker.Line("acid", 0)], [worker.Line("acid", 101)], [worker.Line("nothing", 1)], [worker.Line("acid", 1)] * 51])
def test_a_quote_is_refused(lines: list[worker.Line]) -> None:
    with pytest.raises(hr.Fail) as refused:
        worker.quote(lines)
    assert refused.value.status == 422


@pytest.mark.parametrize("spent, tier, left", [(0, "new", 20_000), (19_999, "new", 1), (20_000, "silver", 80_000), (100_000, "gold", None), (10**9, "gold", None)])
def test_standing(spent: int, tier: str, left: int | None) -> None:
    standing = worker.standing(spent)
    assert (standing.tier, standing.next) == (tier, left)


def test_an_invoice_is_for_the_customer_of_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(hr.Fail):
        worker.invoice(None, "../stock")  # type: ignore[arg-type]
    order = {"id": "a" * 26, "customer": "ann", "at": "2026-11-23T03:00:00Z", "total": 2990, "lines": [{"name": "Đ 猫", "quantity": 1, "price": 2990}]}
    monkeypatch.setattr(worker, "asked", lambda path: order)
    with pytest.raises(hr.Fail, match="no such order"):
        worker.invoice(hr.Job(user="bob"), "a" * 26)
    assert worker.paper(order).startswith(b"%PDF-")
    assert worker.money(1234567) == "12,345.67" and worker.money(5) == "0.05"


def test_an_order_gets_all_its_tins_or_none_and_only_once(tmp_path: Path) -> None:
    stock = Stock(tmp_path / "stock.db")
    stock.count("acid", 3)
    with pytest.raises(SoldOut) as short:
        stock.reserve("one", {"acai": 1, "acid": 4})
    assert (short.value.paint, short.value.left) == ("acid", 3)
    assert stock.of(["acai", "acid"]) == {"acai": PLENTY, "acid": 3}
    assert stock.reserve("one", {"acai": 1, "acid": 3}) == ["acai", "acid"]
    assert stock.reserve("one", {"acai": 1, "acid": 3}) == []
    assert stock.of(["acai", "acid"]) == {"acai": PLENTY - 1, "acid": 0}
    assert [(change.paint, change.tins) for change in stock.changes(0)] == [("acid", 3), ("acai", PLENTY - 1), ("acid", 0)]
    assert [change.tins for change in stock.changes(-1)] == [0]


def test_no_tin_is_sold_twice_in_a_rush(tmp_path: Path) -> None:
    stock = Stock(tmp_path / "stock.db")
    sold: list[str] = []

    def buy(order: str) -> None:
        try:
            sold.extend(stock.reserve(order, {"acid": 1}))
        except SoldOut:
            pass

    stock.count("acid", 10)
    rush = [threading.Thread(target=buy, args=(f"order-{at}",)) for at in range(16)]
    for one in rush:
        one.start()
    for one in rush:
        one.join()
    assert len(sold) == 10 and stock.of(["acid"]) == {"acid": 0}


def test_the_document_of_the_gateway_is_that_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATA", str(tmp_path))
    from catalogue.main import document

    assert json.loads((HERE / "catalogue/openapi.json").read_text()) == document()
