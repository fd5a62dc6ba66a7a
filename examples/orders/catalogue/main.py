"""Products and stock. Who asks, how often, and whether a request is well-formed was looked at by the gateway; this is the shop alone."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import os
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.exceptions import HTTPException as Refusal

from catalogue.stock import SoldOut, Stock
from paints import FAMILIES, Paint, paints

ADMIN = os.environ.get("HEADRACE_SERVER", "http://127.0.0.1:8081")
FRESH = f"max-age={os.environ.get('SHOP_FRESH', 10)}, stale-while-revalidate=60, stale-if-error=600"
WATCH = 0.2  # seconds between two looks for changes of the stock
BEAT = 2.0  # seconds after which a stream says that it is still there, so that nobody on the way takes it for dead, and clients that left are noticed

stock = Stock(Path(os.environ.get("SHOP_DATA", "data")) / "stock.db")
log = logging.getLogger("uvicorn.error")

Id = Annotated[str, StringConstraints(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64), Field(examples=["3am-latte"])]
PaintId = Annotated[str, InPath(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64, description="Of a paint.", examples=["3am-latte"])]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Why there is no answer (RFC 9457). Those of the gateway have the same form."""

    status: int
    title: str
    detail: str | None = None
    code: str | None = None


class Product(BaseModel):
    """A tin of 0.75 l. The price is in cents of a euro."""

    id: str
    name: str
    hex: str
    family: str
    price: int
    stock: int


class Products(BaseModel):
    total: int = Field(description="Of all that were found.")
    products: list[Product]


class Count(Closed):
    tins: Annotated[int, Field(ge=0, le=100_000)]


class Line(Closed):
    product: Id
    quantity: Annotated[int, Field(ge=1, le=100)]


class Reservation(Closed):
    order: Annotated[str, StringConstraints(pattern="^[a-z0-9]{26}$"), Field(examples=["example0example1example2ex"])]
    lines: Annotated[list[Line], Field(min_length=1, max_length=50, examples=[[{"product": "3am-latte", "quantity": 1}]])]


class Reserved(BaseModel):
    order: str
    lines: list[Product]


class ProblemResponse(JSONResponse):
    media_type = "application/problem+json"


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Refusals that an operation has, beside those that the gateway may give to any request."""
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    said = {400: "Parameters that are wrong", 401: "Nobody said who asks", 403: "It is not allowed", 404: "There is no such product", 409: "Not enough is there",
            413: "Too large", 415: "No JSON", 422: "It does not fit", 429: "Too many requests", 431: "The address or the headers are too long", 503: "Nobody is there"}
    return {status: {"description": said[status], "content": schema} for status in sorted({400, 422, 429, 431, 503, *statuses})}


app = FastAPI(title="Catalogue", version="1.0.0", root_path_in_servers=False, docs_url=None, redoc_url=None)


@app.exception_handler(Refusal)
async def refused(_: Request, refusal: Refusal) -> Response:
    return ProblemResponse({"status": refusal.status_code, "title": str(refusal.detail)}, refusal.status_code, headers=refusal.headers)


@app.exception_handler(RequestValidationError)
async def unfit(_: Request, error: RequestValidationError) -> Response:
    where = error.errors()[0]
    return ProblemResponse({"status": 422, "title": "The request does not fit.", "detail": f"{'.'.join(map(str, where['loc']))}: {where['msg']}"}, 422)


@app.get("/health", include_in_schema=False)
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/products", responses=problems())
def products(response: Response, id: Annotated[str | None, Query(max_length=2000, pattern="^[a-z0-9,-]*$", description="Only these, parted by commas.", examples=["3am-latte,acid"])] = None,
             family: Annotated[str | None, Query(pattern=f"^({'|'.join(FAMILIES)})$")] = None, q: Annotated[str | None, Query(max_length=40, description="Part of the name.")] = None,
             offset: Annotated[int, Query(ge=0, le=100_000)] = 0, limit: Annotated[int, Query(ge=1, le=100)] = 24) -> Products:
    """Looks for products."""
    chosen = [paint for name in id.split(",") if (paint := paints().get(name))] if id is not None else list(paints().values())
    found = [paint for paint in chosen if family in (None, paint.family) and (q is None or q.lower() in paint.name.lower())]
    page = found[offset:offset + limit]
    response.headers["Cache-Control"] = FRESH
    response.headers["Cache-Tag"] = " ".join(f"paint-{paint.id}" for paint in page) or "paints"
    return Products(total=len(found), products=shown(page))


@app.get("/products/{id}", responses=problems(404))
def product(request: Request, response: Response, id: PaintId) -> Any:
    """One product. It has an ETag: who has this version already gets 304."""
    if id not in paints():
        raise HTTPException(404, "There is no such product.")
    found = shown([paints()[id]])[0]
    headers = {"Cache-Control": FRESH, "Cache-Tag": f"paint-{id}", "ETag": f'"{found.price}-{found.stock}"'}
    if headers["ETag"] in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return found


token = Depends(HTTPBearer(scheme_name="token", bearerFormat="JWT", description="With the scope stock:write; the gateway looks at it.", auto_error=False))


@app.put("/stock/{id}", status_code=204, dependencies=[token], responses=problems(401, 403, 404, 413, 415))
def count(id: PaintId, count: Count) -> None:
    """Says how many tins are there."""
    if id not in paints():
        raise HTTPException(404, "There is no such product.")
    stock.count(id, count.tins)
    forget([id])


@app.post("/reservations", status_code=201, dependencies=[token], responses=problems(401, 403, 404, 409, 413, 415))
def reserve(reservation: Reservation) -> Reserved:
    """Takes the tins of an order, all or none. The same order again changes nothing."""
    lines: dict[str, int] = {}
    for line in reservation.lines:
        if line.product not in paints():
            raise HTTPException(404, f"There is no product {line.product}.")
        lines[line.product] = lines.get(line.product, 0) + line.quantity
    try:
        forget(stock.reserve(reservation.order, lines))
    except SoldOut as short:
        raise HTTPException(409, f"Of {paints()[short.paint].name} only {short.left} are left.") from short
    return Reserved(order=reservation.order, lines=shown([paints()[name] for name in lines]))


@app.get("/stock.csv", response_class=PlainTextResponse, include_in_schema=False)
def table() -> Response:
    """All products, for partners."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(("id", "name", "hex", "price", "stock"))
    rows.writerows((one.id, one.name, one.hex, one.price, one.stock) for one in shown(list(paints().values())))
    return Response(text.getvalue(), media_type="text/csv", headers={"Cache-Control": "no-store"})


@app.get("/changes", include_in_schema=False)
async def events(request: Request) -> Response:
    """Server-sent events: each change of the stock, from where the client was."""
    last = request.headers.get("Last-Event-ID", "")
    return StreamingResponse(follow(int(last) if last.isdecimal() else -1), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def follow(after: int) -> AsyncIterator[str]:
    if after < 0:
        newest = await asyncio.to_thread(stock.changes, -1)
        after = newest[0].number if newest else 0
    yield ": hello\n\n"
    told = time.monotonic()
    while True:
        for change in await asyncio.to_thread(stock.changes, after):
            after, told = change.number, time.monotonic()
            yield f"id: {change.number}\nevent: stock\ndata: {json.dumps({'product': change.paint, 'stock': change.tins})}\n\n"
        if time.monotonic() - told > BEAT:
            told = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(WATCH)


def shown(found: list[Paint]) -> list[Product]:
    tins = stock.of([paint.id for paint in found])
    return [Product(id=paint.id, name=paint.name, hex=paint.hex, family=paint.family, price=paint.price, stock=tins[paint.id]) for paint in found]


def forget(changed: list[str]) -> None:
    """Makes the gateway forget its answers with these paints. If it cannot be told, they are old for ten seconds."""
    if not changed:
        return
    body = json.dumps({"tags": [f"paint-{paint}" for paint in changed]}).encode()
    request = urllib.request.Request(f"{ADMIN}/v1/cache/purge", body, {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=2).close()
    except OSError as error:
        log.warning("the gateway was not told of a change: %s", error)


def document() -> dict[str, Any]:
    """The OpenAPI document, as catalogue/openapi.json has it for the gateway."""
    made = app.openapi()
    made["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    made["servers"] = [{"url": "/catalogue"}]
    return made


app.openapi_schema = document()

if __name__ == "__main__":  # python -m catalogue.main > catalogue/openapi.json
    print(json.dumps(document(), indent=1))
