"""The HTTP door in front of Celery and Dramatiq: ASGI without a framework, the least a user of them could write."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs


class Door:
    def __init__(self, enqueue, bulk, call):
        self._enqueue, self._bulk, self._call = enqueue, bulk, call
        self._threads = ThreadPoolExecutor(64)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        query = {name: int(values[0]) for name, values in parse_qs(scope["query_string"].decode()).items()}
        match scope["path"].split("/")[1:]:
            case ["jobs", function]:
                self._enqueue(function, query["index"])
                status, body = 202, b"{}"
            case ["bulk"]:
                await self._aside(self._bulk, query["first"], query["count"])
                status, body = 202, b"{}"
            case ["call"]:
                status, body = 200, str(await self._aside(self._call, query["index"])).encode()
            case ["static", _]:
                status, body = 200, b"x" * 1024
            case _:
                status, body = 404, b""
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-length", str(len(body)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _aside(self, function, *args):
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
