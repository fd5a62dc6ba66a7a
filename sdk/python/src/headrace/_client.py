"""A client of headrace's HTTP interface, for programs that are not workers. Synchronous, keep-alive, standard library."""

from __future__ import annotations

import json
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from headrace import _json
from headrace._blob import Blob
from headrace._errors import HeadraceError
from headrace._options import AfterPolicy, Duration, Priority, UniquePolicy, check, followed, moment
from headrace._spool import content_type

if TYPE_CHECKING:  # http.client costs a worker's start 30 ms, and no worker needs it
    from http.client import HTTPConnection, HTTPResponse

_LONGEST_WAIT = 30.0  # seconds of one request for a result
ENDED = frozenset({"succeeded", "dead", "cancelled", "expired"})


class Client:
    """One connection to a headrace. Use one client per thread, or with `with` to close it.

    `timeout` is how long one answer may take. Every refusal is an hr.HeadraceError with headrace's code and hint.
    """

    def __init__(self, url: str = "http://127.0.0.1:8081", token: str | None = None, *, timeout: Duration = "60s") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an http or https address")
        self._secure = parts.scheme == "https"
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._token = token
        self._timeout = check({"timeout": timeout}, "Client")["timeout"]
        self._connection: HTTPConnection | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def enqueue(self, function: str | Callable[..., Any], args: Mapping[str, Any] | None = None, *, queue: str | None = None,
                delay: Duration | None = None, run_at: datetime | None = None, priority: Priority | None = None, key: str | None = None, key_limit: int | None = None,
                unique: str | None = None, unique_policy: UniquePolicy | None = None, retries: int | None = None, timeout: Duration | None = None, expires: Duration | None = None, tags: list[str] | None = None,
                after: Sequence[str] | None = None, after_policy: AfterPolicy | None = None,
                idempotency_key: str | None = None) -> JobHandle:
        """Stores a job; returns when it is durable. With an idempotency key a repetition gives the same job. With `after` it
        runs when the jobs of these ids have ended; if one of them fails it is cancelled, unless `after_policy` is "continue"."""
        name = function if isinstance(function, str) else function.__name__
        options = check(dict(queue=queue, delay=delay, priority=priority, key=key, key_limit=key_limit, unique=unique, unique_policy=unique_policy,
                             retries=retries, timeout=timeout, expires=expires, tags=tags), f"enqueue {name}()")
        query = {option: f"{1000 * value:.0f}ms" if isinstance(value, float) else ",".join(value) if option == "tags" else str(value)
                 for option, value in options.items()}
        if run_at is not None:
            query["run_at"] = moment(run_at)
        query |= followed(after, after_policy)
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        answer = self._json("POST", f"/v1/jobs/{quote(name, safe='')}" + (f"?{urlencode(query)}" if query else ""), args or {}, headers,
                            repeat=idempotency_key is not None)
        return JobHandle(self, str(answer["id"]))

    def call(self, function: str | Callable[..., Any], args: Mapping[str, Any] | None = None) -> Any:
        """Calls a function and returns its result."""
        name = function if isinstance(function, str) else function.__name__
        return self._json("POST", f"/v1/calls/{quote(name, safe='')}", args or {})

    def job(self, id: str) -> JobHandle:
        """A job by its id."""
        return JobHandle(self, id)

    def upload(self, path: str | Path, *, name: str | None = None, type: str | None = None) -> Blob:
        """Stores a file as a blob, to be passed as an argument. It is streamed, never held in memory."""
        path = Path(path)
        name = path.name if name is None else name
        with path.open("rb") as file:
            headers = {"Content-Type": type or content_type(name), "Content-Length": str(path.stat().st_size)}
            return Blob.of(self._read(self._request("PUT", f"/v1/blobs?{urlencode({'name': name})}", file, headers)))

    def _json(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, repeat: bool = False) -> Any:
        data = None if body is None else _json.encode(body)
        sent = {**(headers or {}), **({} if data is None else {"Content-Type": "application/json"})}
        return self._read(self._request(method, path, data, sent, repeat=repeat or method == "GET"))

    def _request(self, method: str, path: str, body: Any, headers: Mapping[str, str], *, repeat: bool = False) -> HTTPResponse:
        """Sends a request. What may be repeated is sent a second time if a kept connection turns out to be closed."""
        from http.client import HTTPConnection, HTTPException, HTTPSConnection

        own = {"Accept": "application/json", **({"Authorization": f"Bearer {self._token}"} if self._token else {}), **headers}
        while True:
            kept = self._connection is not None
            if self._connection is None:
                make = HTTPSConnection if self._secure else HTTPConnection
                self._connection = make(self._host, self._port, timeout=self._timeout)
            try:
                self._connection.request(method, self._base + path, body, own)
                return self._connection.getresponse()
            except (HTTPException, OSError) as error:
                self.close()
                if not (kept and repeat) or isinstance(error, TimeoutError):
                    raise HeadraceError(f"{self._host}:{self._port or ''} cannot be reached: {error}", code="HR9006",
                                        hint="start it with headrace dev or headrace run") from error

    def _read(self, response: HTTPResponse) -> Any:
        data = response.read()
        if response.will_close:
            self.close()
        if response.status >= 400:
            raise problem(response.status, data)
        return json.loads(data) if data else None


class JobHandle:
    """A stored job."""

    def __init__(self, client: Client, id: str) -> None:
        self._client = client
        self.id = id

    def __repr__(self) -> str:
        return f"JobHandle({self.id!r})"

    def _path(self, rest: str = "") -> str:
        return f"/v1/jobs/{quote(self.id, safe='')}{rest}"

    def status(self) -> dict[str, Any]:
        """The job as headrace shows it: `state`, attempts, progress, times."""
        return typing.cast(dict[str, Any], self._client._json("GET", self._path()))

    def wait(self, timeout: Duration | None = None) -> dict[str, Any]:
        """Waits until the job has ended and returns its status; TimeoutError if it has not in time."""
        limit = None if timeout is None else time.monotonic() + check({"timeout": timeout}, "wait")["timeout"]
        pause = 0.05
        while True:
            asked = time.monotonic()
            left = _LONGEST_WAIT if limit is None else min(_LONGEST_WAIT, limit - time.monotonic())
            status: dict[str, Any] = self._client._json("GET", self._path(f"?wait={max(left, 0):.3f}s"))
            if status.get("state") in ENDED:
                return status
            if left <= 0:
                raise TimeoutError(f"job {self.id} is {status.get('state')}")
            if time.monotonic() - asked < min(left, pause):  # the server did not wait, so wait here
                time.sleep(min(left, pause))
                pause = min(2 * pause, 1.0)

    def result(self, timeout: Duration | None = None) -> Any:
        """Waits for the job and returns its result; HeadraceError if it did not succeed."""
        status = self.wait(timeout)
        if status["state"] != "succeeded":
            raise HeadraceError(f"job {self.id} is {status['state']}: {status.get('error', '')}".rstrip(": "), code="HR2009",
                                hint="status() and events() tell more")
        return self._client._json("GET", self._path("/result"))

    def cancel(self) -> None:
        """Asks headrace to cancel it."""
        self._client._json("POST", self._path("/cancel"))

    def events(self) -> Iterator[dict[str, Any]]:
        """Its events as they happen, to the end of the job. Uses a connection of its own."""
        client = Client.__new__(Client)
        client.__dict__.update(self._client.__dict__, _connection=None)
        try:
            response = client._request("GET", self._path("/events"), None, {"Accept": "text/event-stream"})
            if response.status >= 400:
                raise problem(response.status, response.read())
            data: list[str] = []
            for raw in response:
                line = raw.decode().rstrip("\r\n")
                if line.startswith("data:"):
                    data.append(line[5:].removeprefix(" "))
                elif not line and data:
                    yield json.loads("\n".join(data))
                    data.clear()
        finally:
            client.close()


def problem(status: int, data: bytes) -> HeadraceError:
    """The error of a problem+json answer."""
    try:
        told = json.loads(data)
        title, detail, where = told.get("title") or f"HTTP {status}", told.get("detail"), told.get("where")
    except (ValueError, AttributeError):
        return HeadraceError(f"HTTP {status}: {data[:200].decode(errors='replace')}", hint="is this the address of a headrace?")
    text = f"{title}: {detail}" if detail else str(title)
    return HeadraceError(f"{text} (at {where})" if where else text, code=told.get("code", ""), hint=told.get("hint", ""))
