"""The client against an HTTP server that answers as the reference says and records what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import headrace as hr


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, Any]] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        self.server.connections += 1
        super().setup()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        status, value = self.server.answers.pop(0)
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_a_job_from_enqueue_to_result(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"a,b")
    server.answers = [(201, {"$blob": "sha256:" + "0" * 64, "size": 3, "type": "text/csv", "name": "x.csv"}), (202, {"id": "j1"}),
                      (200, {"id": "j1", "state": "running"}), (200, {"id": "j1", "state": "running"}), (200, {"id": "j1", "state": "succeeded"}),
                      (200, {"rows": 3}), (202, {})]
    with hr.Client(server.url, "secret") as client:
        blob = client.upload(tmp_path / "x.csv")
        job = client.enqueue("flight_report", {"table": blob}, delay="1m", priority="high", tags=["a", "b"], retries=0, idempotency_key="k",
                             run_at=datetime(2026, 1, 2, tzinfo=timezone.utc))
        assert job.id == "j1"
        assert job.status()["state"] == "running"
        assert job.result(timeout="10s") == {"rows": 3}
        job.cancel()
    assert server.connections == 1
    upload, enqueue, *_, cancel = server.asked
    assert upload[:2] == ("PUT", "/v1/blobs?name=x.csv") and upload[3] == b"a,b" and upload[2]["Content-Type"] == "text/csv"
    assert enqueue[:2] == ("POST", "/v1/jobs/flight_report?delay=60000ms&priority=high&retries=0&tags=a%2Cb&run_at=2026-01-02T00%3A00%3A00Z")
    assert enqueue[2]["Idempotency-Key"] == "k" and enqueue[2]["Authorization"] == "Bearer secret"
    assert json.loads(enqueue[3])["table"]["$blob"] == blob.digest
    assert cancel[:2] == ("POST", "/v1/jobs/j1/cancel")


def test_call_and_problems(server: Server) -> None:
    server.answers = [(200, [1.5]), (404, {"title": "unknown function", "code": "HR2003", "detail": "forcast", "hint": "list the functions"}),
                      (502, b"<html>"), (200, {"state": "dead", "error": "ValueError: no prices"}),
                      (200, {"state": "running"})]
    with hr.Client(server.url) as client:
        assert client.call("forecast", {"prices": [1]}) == [1.5]
        with pytest.raises(hr.HeadraceError, match=r"HR2003: unknown function: forcast \(list the functions\)") as caught:
            client.call("forcast")
        assert (caught.value.code, caught.value.hint) == ("HR2003", "list the functions")
        with pytest.raises(hr.HeadraceError, match="HTTP 502"):
            client.call("forecast")
        with pytest.raises(hr.HeadraceError, match="job j is dead: ValueError: no prices"):
            client.job("j").result()
        with pytest.raises(TimeoutError):
            client.job("j").wait("0s")


def test_events(server: Server) -> None:
    server.answers = [(200, b'id: 1\nevent: state\ndata: {"state": "running"}\n\n: ping\n\ndata: {"done":\ndata: 1}\n\n')]
    with hr.Client(server.url) as client:
        assert list(client.job("j").events()) == [{"state": "running"}, {"done": 1}]


def test_nobody_there(server: Server) -> None:
    with hr.Client("http://127.0.0.1:1") as client, pytest.raises(hr.HeadraceError, match="HR9006"):
        client.call("x")
    with pytest.raises(ValueError, match="not an http"):
        hr.Client("127.0.0.1:8081")
