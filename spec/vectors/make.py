"""Writes frames.json, the golden bytes of spec/frame.md. Run it from anywhere: python spec/vectors/make.py

It shares no code with any implementation and its output is deterministic, so a difference in `git diff` is a change of
the contract. See README.md for the fields.
"""

import json
import struct
from pathlib import Path

KINDS = ("", "hello", "welcome", "task", "batch", "credit", "progress", "chunk", "log", "checkpoint", "result", "error",
         "cancel", "drain", "ping", "pong", "request", "reply", "fork", "forked", "exited")


def frame(kind: int, stream: int, body: bytes, *, length: int | None = None, version: int = 1, flags: int = 0) -> bytes:
    return struct.pack("<IBBHQ", len(body) if length is None else length, version, kind, flags, stream) + body


def text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def task(number: int, function: int, meta: bytes, args: bytes) -> bytes:
    return struct.pack("<QHHII", number, function, 0, len(meta), len(args)) + meta + args


def batch(function: int, items: list[tuple[int, bytes, bytes]], count: int | None = None) -> bytes:
    head = struct.pack("<HHI", function, 0, len(items) if count is None else count)
    return head + b"".join(struct.pack("<QII", n, len(meta), len(args)) + meta + args for n, meta, args in items)


def result(number: int, micros: int, value: bytes) -> bytes:
    return struct.pack("<QII", number, micros, len(value)) + value


valid: list[dict[str, object]] = []
invalid: list[dict[str, object]] = []


def add(name: str, kind: int, stream: int, body: bytes, **fields: object) -> None:
    valid.append({"name": name, "kind": KINDS[kind], "code": kind, "stream": str(stream), "length": len(body),
                  "hex": frame(kind, stream, body).hex(), **fields})


def add_json(name: str, kind: int, stream: int, value: object) -> None:
    add(name, kind, stream, text(value), json=value)


def bad(name: str, at: str, reason: str, data: bytes) -> None:
    invalid.append({"name": name, "at": at, "reason": reason, "hex": data.hex()})


SCHEMA = {"type": "object", "properties": {"table": {"type": "object"}, "top": {"type": "integer", "default": 10}},
          "required": ["table"], "additionalProperties": False}
BLOB = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
META = {"id": "01JD8Q6Z7TN1V6B3ZK4T5W8XYZ", "attempt": 2, "key": "LH", "queue": "reports", "deadline": 1764003600.5,
        "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "checkpoint": {"row": 41}, "tags": ["nightly"],
        "enqueued": 1764000000.25, "parts": [{"id": "01JD8Q6Z7TN1V6B3ZK4T5W8XY0", "state": "succeeded", "result": 3}],
        "user": "ann", "method": "jwt", "claims": {"sub": "ann", "roles": ["clerk"]}}

add_json("hello", 1, 0, {
    "protocol": 1, "sdk": "python 0.1.0", "runtime": "CPython 3.11.7", "pid": 4711, "app": "app.py",
    "functions": [{"name": "flight_report", "kind": "job", "async": False, "stream": False, "doc": "Makes a report.",
                   "args": SCHEMA, "result": {"type": "object"}, "blobs": ["table"],
                   "options": {"queue": "reports", "retries": 5, "timeout": 600.0, "route": "POST /reports"}}]})
add_json("hello-of-events", 1, 0, {
    "protocol": 1, "sdk": "python 0.1.0", "runtime": "CPython 3.11.7", "pid": 4711, "app": "app.py",
    "functions": [{"name": "moderate", "kind": "batch", "async": False, "stream": False, "doc": "",
                   "args": {"type": "object", "properties": {"publications": {"type": "object", "title": "Publication"}},
                            "required": ["publications"], "additionalProperties": False}, "result": {}, "blobs": [],
                   "options": {"size": 32, "on": {"event": "publish", "channels": "chat:*", "argument": "publications"}}}]})
add_json("welcome", 2, 0, {"protocol": 1, "worker": "reports-3", "pool": "reports", "spool": "/var/lib/headrace/spool"})

one = [(7, 0, b"", b"{}")]
three = [(1, 0, b'{"id":"a","attempt":1}', b'{"x":1}'), (2, 1, b"", '{"name":"Zoë"}'.encode()), (18446744073709551615, 65535, text(META), b"{}")]
for name, tasks in (("task-one", one), ("task-three", three)):
    add(name, 3, 0, b"".join(task(*t) for t in tasks),
        tasks=[{"task": str(n), "function": f, "meta": m.decode(), "args": a.decode()} for n, f, m, a in tasks])
add("task-blob", 3, 0, task(9, 0, b"", text({"table": {"$blob": BLOB, "path": "/blobs/9f/86d0", "size": 4, "type": "text/csv", "name": "flights.csv"}})),
    tasks=[{"task": "9", "function": 0, "meta": "",
            "args": '{"table":{"$blob":"%s","path":"/blobs/9f/86d0","size":4,"type":"text/csv","name":"flights.csv"}}' % BLOB}])

items = [(21, b"", b'{"texts":"a"}'), (22, b'{"id":"b"}', b'{"texts":"b"}')]
for name, some in (("batch-one", items[:1]), ("batch-two", items)):
    add(name, 4, 0, batch(2, some), function=2, tasks=[{"task": str(n), "meta": m.decode(), "args": a.decode()} for n, m, a in some])

add("credit-one", 5, 0, struct.pack("<I", 1), credit=1)
add("credit-largest", 5, 0, struct.pack("<I", 0xFFFFFFFF), credit=0xFFFFFFFF)
add_json("progress", 6, 7, {"done": 3, "total": 10, "note": "reading"})
add_json("progress-least", 6, 7, {"done": 0.5})
add_json("chunk-object", 7, 7, {"token": "Grüße"})
add_json("chunk-null", 7, 7, None)
add_json("log", 8, 7, {"level": "info", "text": "read 41 rows", "fields": {"logger": "app", "rows": 41}})
add_json("log-of-no-task", 8, 0, {"level": "stderr", "text": "warming up"})
add_json("checkpoint", 9, 7, {"row": 41})

results = [(1, 1250, b"42"), (2, 0, b"null"), (18446744073709551615, 0xFFFFFFFF, '{"city":"Köln"}'.encode())]
for name, some_results in (("result-one", results[:1]), ("result-three", results)):
    add(name, 10, 0, b"".join(result(*r) for r in some_results),
        results=[{"task": str(n), "micros": us, "json": v.decode()} for n, us, v in some_results])

TRACE = 'Traceback (most recent call last):\n  File "app.py", line 3, in forecast\nValueError: no prices\n'
add_json("error", 11, 7, {"kind": "error", "type": "ValueError", "message": "no prices", "traceback": TRACE})
add_json("error-retry", 11, 7, {"kind": "retry", "type": "Retry", "message": "rate limited", "traceback": "", "after": 5.0})
for kind in ("fail", "cancelled", "unencodable", "arguments"):
    add_json(f"error-{kind}", 11, 7, {"kind": kind, "type": "Example", "message": kind, "traceback": ""})
add_json("error-fail-status", 11, 7, {"kind": "fail", "type": "Fail", "message": "no such order", "traceback": "", "status": 404})
add_json("error-of-import", 11, 0, {"kind": "error", "type": "ModuleNotFoundError", "message": "No module named 'pandas'", "traceback": TRACE})
for reason, step in (("cancelled", 1), ("timeout", 2), ("drain", 1), ("gone", 2)):
    add_json(f"cancel-{reason}", 12, 7, {"reason": reason, "step": step})
add("drain", 13, 0, b"")
add("ping", 14, 0, bytes(range(8)), bytes=bytes(range(8)).hex())
add("ping-empty", 14, 0, b"", bytes="")
add("ping-largest", 14, 0, b"\xa5" * 1024, bytes=(b"\xa5" * 1024).hex())
add("pong", 15, 0, bytes(range(8)), bytes=bytes(range(8)).hex())
add_json("request-enqueue", 16, 7, {"id": 1, "op": "enqueue", "function": "flight_report", "args": {"top": 3}, "options": {"delay": 60.0}})
add_json("request-blob", 16, 7, {"id": 4294967295, "op": "blob", "path": "/spool/x", "type": "text/csv", "name": "x.csv"})
add_json("request-publish", 16, 7, {"id": 2, "op": "publish", "channel": "chat:1", "data": {"text": "Grüße"}, "key": "k", "idempotency_key": "i",
                                    "tags": {"a": "b"}, "version": 18446744073709551615, "version_epoch": "e"})
add_json("request-history", 16, 7, {"id": 3, "op": "history", "channel": "chat:1", "limit": 2, "since": {"offset": 4, "epoch": "e"}, "reverse": True})
add_json("reply-history", 17, 7, {"id": 3, "ok": {"publications": [{"data": 1, "offset": 3, "time": 1764000000250, "user": "u"}], "offset": 5, "epoch": "e"}})
add_json("reply-ok", 17, 7, {"id": 1, "ok": {"id": "01JD8Q6Z7TN1V6B3ZK4T5W8XYZ"}})
add_json("reply-error", 17, 7, {"id": 1, "error": {"code": "HR6009", "message": "unknown operation: sing", "hint": "use the SDK that comes with this headrace"}})
add_json("fork", 18, 0, {"worker": "reports-4"})
add_json("forked", 19, 0, {"worker": "reports-4", "pid": 4712})
add_json("forked-refused", 19, 0, {"worker": "reports-4", "refused": "3 threads are alive"})
add_json("exited", 20, 0, {"pid": 4712, "code": 0, "signal": 0, "max_rss": 31457280, "cpu": 1.25})
add_json("exited-by-signal", 20, 0, {"pid": 4712, "code": -1, "signal": 9, "max_rss": 31457280, "cpu": 0.5})
add("stream-largest", 9, 18446744073709551615, b"[]", json=[])

bad("version-0", "header", "version is not 1", frame(13, 0, b"", version=0))
bad("version-2", "header", "version is not 1", frame(13, 0, b"", version=2))
bad("kind-0", "header", "unknown kind", frame(0, 0, b""))
bad("kind-21", "header", "unknown kind", frame(21, 0, b""))
bad("kind-255", "header", "unknown kind", frame(255, 0, b""))
bad("flags-1", "header", "flags are not 0", frame(13, 0, b"", flags=1))
bad("flags-high", "header", "flags are not 0", frame(13, 0, b"", flags=0x8000))
bad("length-over-limit", "header", "body longer than 16777216 bytes", frame(7, 1, b"", length=16777217))
bad("length-largest", "header", "body longer than 16777216 bytes", frame(7, 1, b"", length=0xFFFFFFFF))
bad("text-not-frames", "header", "version is not 1", b"GET / HTTP/1.1\r\n")
bad("end-in-header", "end", "stream ends inside a header", frame(13, 0, b"")[:9])
bad("end-in-body", "end", "stream ends inside a body", frame(14, 0, bytes(8))[:-3])
whole = task(1, 0, b'{"id":"a"}', b'{"x":1}')
bad("task-empty", "container", "no task", frame(3, 0, b""))
bad("task-short-head", "container", "truncated", frame(3, 0, whole[:19]))
bad("task-short-meta", "container", "truncated", frame(3, 0, whole[:25]))
bad("task-short-args", "container", "truncated", frame(3, 0, whole[:-1]))
bad("task-trailing", "container", "truncated", frame(3, 0, whole + b"\0"))
bad("task-length-overflow", "container", "truncated", frame(3, 0, struct.pack("<QHHII", 1, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF) + b"{}"))
bad("batch-empty-body", "container", "truncated", frame(4, 0, b""))
bad("batch-short-item", "container", "truncated", frame(4, 0, batch(2, items)[:-1]))
bad("batch-count-too-large", "container", "truncated", frame(4, 0, batch(2, items, count=3)))
bad("batch-count-largest", "container", "truncated", frame(4, 0, batch(2, items, count=0xFFFFFFFF)))
bad("batch-trailing", "container", "bytes after the last item", frame(4, 0, batch(2, items, count=1)))
bad("result-empty", "container", "no result", frame(10, 0, b""))
bad("result-short-head", "container", "truncated", frame(10, 0, result(1, 1, b"42")[:15]))
bad("result-short-json", "container", "truncated", frame(10, 0, result(1, 1, b"42")[:-1]))
bad("credit-short", "body", "credit is not 4 bytes", frame(5, 0, b"\1\0\0"))
bad("credit-long", "body", "credit is not 4 bytes", frame(5, 0, b"\1\0\0\0\0"))
bad("drain-with-body", "body", "drain has a body", frame(13, 0, b"x"))
bad("ping-over-limit", "body", "ping longer than 1024 bytes", frame(14, 0, bytes(1025)))
bad("json-malformed", "body", "malformed JSON", frame(12, 7, b'{"reason":'))
bad("json-not-utf8", "body", "not UTF-8", frame(12, 7, b'{"reason":"\xff","step":1}'))
bad("json-byte-order-mark", "body", "byte order mark", frame(12, 7, b'\xef\xbb\xbf{"reason":"gone","step":1}'))

lines = ",\n".join("  " + json.dumps(v, ensure_ascii=False) for v in valid)
wrong = ",\n".join("  " + json.dumps(v, ensure_ascii=False) for v in invalid)
Path(__file__).with_name("frames.json").write_text(f'{{"protocol": 1,\n "frames": [\n{lines}\n ],\n "invalid": [\n{wrong}\n ]}}\n', encoding="utf-8")
