"""What is neither orders nor products: who somebody is, what an order would cost, and an invoice on paper."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import date
from typing import Any

import headrace as hr
import jwt
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from paints import paints

app = hr.App()

SECRET = os.environ.get("SHOP_SECRET", "")
SHOP = os.environ.get("SHOP_URL", "http://127.0.0.1:8080")
LIFETIME = 3600  # seconds of a token
VAT = 19  # percent, in all prices
TIERS = ((100_000, "gold", 10), (20_000, "silver", 5), (0, "new", 0))  # cents spent, name, percent off
SERVICES = ("orders", "worker")  # which make tokens for themselves
NAME = re.compile(r"[a-z][a-z0-9-]{1,31}")


@dataclass
class Login:
    """Lets a page ask as this customer."""

    token: str
    customer: str
    expires: int


@dataclass
class Line:
    product: str
    quantity: int


@dataclass
class QuotedLine:
    product: str
    name: str
    quantity: int
    price: int
    total: int


@dataclass
class Quote:
    """What an order would cost, in cents."""

    lines: list[QuotedLine]
    discount: int
    total: int
    vat: int


@dataclass
class Standing:
    """How good a customer somebody is."""

    tier: str
    percent: int
    next: int | None


@app.call(route="POST /login", policies=["door"], timeout="5s")
def login(name: str) -> Login:
    """A token for a customer. There are no accounts and no passwords here: who says a name is that customer."""
    customer = name.strip().lower()
    if not NAME.fullmatch(customer):
        raise hr.Fail("A name has 2 to 32 letters, digits and hyphens, and begins with a letter.")  # 422
    if customer in SERVICES:
        raise hr.Fail("This is the name of a service, which does not log in.", status=401)
    return Login(signed(customer, "shop", LIFETIME), customer, int(time.time()) + LIFETIME)


@app.call(route="POST /quotes", policies=["customer"], timeout="5s")
def quote(lines: list[Line]) -> Quote:
    """What these lines would cost: from ten tins of a paint on, they are a tenth cheaper."""
    if not 1 <= len(lines) <= 50:
        raise hr.Fail("A quote has 1 to 50 lines.")
    found: list[QuotedLine] = []
    discount = 0
    for line in lines:
        paint = paints().get(line.product)
        if paint is None:
            raise hr.Fail(f"There is no product {line.product[:64]!r}.")
        if not 1 <= line.quantity <= 100:
            raise hr.Fail("A quantity is 1 to 100.")
        found.append(QuotedLine(paint.id, paint.name, line.quantity, paint.price, paint.price * line.quantity))
        discount += found[-1].total // 10 if line.quantity >= 10 else 0
    total = sum(line.total for line in found) - discount
    return Quote(found, discount, total, vat_in(total))


@app.call(timeout="2s")
def standing(spent: int) -> Standing:
    """For the dashboard, which gives it what the other service has said."""
    at = next(i for i, (least, _, _) in enumerate(TIERS) if spent >= least)
    return Standing(TIERS[at][1], TIERS[at][2], TIERS[at - 1][0] - spent if at else None)


@app.job(route="POST /invoices", policies=["customer"], queue="invoices", retries=5, backoff="1s")
def invoice(job: hr.Job, order: str) -> hr.Blob:
    """An invoice as a PDF, for the customer whose order it is."""
    if not re.fullmatch("[a-z0-9]{26}", order):
        raise hr.Fail("This is not the name of an order.")
    job.progress(1, 2, note="asking for the order")
    found = asked(f"/orders/{order}")
    if found["customer"] != job.user:
        raise hr.Fail("There is no such order.")
    job.progress(2, 2, note="writing")
    return job.blob(paper(found), name=f"invoice-{order[:8]}.pdf", type="application/pdf")


def asked(path: str) -> dict[str, Any]:
    """The answer of a service, asked through the gateway as everybody does."""
    request = urllib.request.Request(SHOP + path, headers={"Authorization": f"Bearer {signed('worker', 'shop', 60)}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                raise hr.Fail("There is no such order.") from None
        raise


def paper(order: dict[str, Any]) -> bytes:
    pdf = FPDF(format="A4")
    pdf.set_title(f"Invoice {order['id'][:8]}")
    pdf.add_page()
    pdf.set_font("Helvetica", "B", 20)
    pdf.cell(0, 12, "Invoice", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_font("Helvetica", size=11)
    for text in (f"Customer: {order['customer']}", f"Order {order['id']} of {date.fromisoformat(order['at'][:10]):%d %B %Y}"):
        pdf.cell(0, 7, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(6)
    with pdf.table(col_widths=(50, 14, 18, 18), text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT"), borders_layout="HORIZONTAL_LINES") as table:
        table.row(("Paint, 0.75 l", "Tins", "EUR", "EUR"))
        for line in order["lines"]:
            table.row((latin(line["name"]), str(line["quantity"]), money(line["price"]), money(line["price"] * line["quantity"])))
        table.row(("Total", "", "", money(order["total"])))
        table.row((f"of it {VAT} % VAT", "", "", money(vat_in(order["total"]))))
    return bytes(pdf.output())


def signed(customer: str, audience: str, lifetime: int) -> str:
    return jwt.encode({"sub": customer, "aud": audience, "scope": "orders", "exp": int(time.time()) + lifetime}, SECRET, "HS256")


def vat_in(total: int) -> int:
    return round(total * VAT / (100 + VAT))


def money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02}"


def latin(text: str) -> str:
    """The letters that the fonts of every PDF reader have."""
    return text.encode("latin-1", "replace").decode("latin-1")
