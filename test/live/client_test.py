"""The published Python client against headrace. make test/live runs it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
import unittest
from typing import Any

from centrifuge import (Client, ClientEventHandler, DeltaType, PublicationContext, ReplyError, ServerPublicationContext,
                        ServerSubscribedContext, StreamPosition, SubscribedContext, SubscriptionEventHandler)

SERVER = os.environ["LIVE_SERVER"]
WAIT = 20.0


def token(**claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'aud': os.environ['LIVE_AUDIENCE'], 'exp': int(time.time()) + 600, **claims})}"
    mac = hmac.digest(os.environ["LIVE_SECRET"].encode(), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


class Heard(SubscriptionEventHandler, ClientEventHandler):
    """What a client or a subscription was told, by kind."""

    def __init__(self) -> None:
        self.queues: dict[str, asyncio.Queue[Any]] = {}

    def queue(self, kind: str) -> asyncio.Queue[Any]:
        return self.queues.setdefault(kind, asyncio.Queue())

    async def next(self, kind: str) -> Any:
        return await asyncio.wait_for(self.queue(kind).get(), WAIT)

    async def on_publication(self, ctx: PublicationContext | ServerPublicationContext) -> None:
        self.queue("publication").put_nowait(ctx)

    async def on_subscribed(self, ctx: SubscribedContext | ServerSubscribedContext) -> None:
        self.queue("subscribed").put_nowait(ctx)

    async def on_join(self, ctx: Any) -> None:
        self.queue("join").put_nowait(ctx)

    async def on_leave(self, ctx: Any) -> None:
        self.queue("leave").put_nowait(ctx)

    async def on_disconnected(self, ctx: Any) -> None:
        self.queue("disconnected").put_nowait(ctx)

    async def on_unsubscribed(self, ctx: Any) -> None:
        self.queue("unsubscribed").put_nowait(ctx)


class Line:
    """A line to the server that can be cut."""

    def __init__(self) -> None:
        self.writers: set[asyncio.StreamWriter] = set()
        self.pumps: list[asyncio.Task[None]] = []

    async def open(self) -> str:
        self.server = await asyncio.start_server(self.take, "127.0.0.1", 0)
        return "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = SERVER.split(":")
        there, back = await asyncio.open_connection(host, int(port))
        self.writers |= {writer, back}
        self.pumps += [asyncio.create_task(self.pump(reader, back)), asyncio.create_task(self.pump(there, writer))]

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    async def close(self) -> None:
        self.server.close()
        self.cut()
        await asyncio.gather(*self.pumps, return_exceptions=True)

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


class Clients(unittest.IsolatedAsyncioTestCase):
    protobuf = False

    def say(self, value: Any) -> Any:
        return json.dumps(value).encode() if self.protobuf else value

    def read(self, value: Any) -> Any:
        return json.loads(value) if self.protobuf else value

    async def client(self, user: str, events: Heard | None = None, address: str = SERVER, **claims: Any) -> Client:
        client = Client(f"ws://{address}/live/websocket", events=events, token=token(sub=user, info={"name": user}, **claims), use_protobuf=self.protobuf,
                        min_reconnect_delay=0.05, max_reconnect_delay=0.2, proxy=None)
        self.addAsyncCleanup(client.disconnect)
        await client.connect()
        return client

    def channel(self, name: str) -> str:
        return f"chat:py-{name}-{time.time_ns()}"

    async def test_everything(self) -> None:
        channel, heard = self.channel("all"), Heard()
        ann, bob = await self.client("ann"), await self.client("bob")
        sub = ann.new_subscription(channel, events=heard, join_leave=True, recoverable=True)
        await sub.subscribe()
        subscribed = await heard.next("subscribed")
        self.assertTrue(subscribed.recoverable)
        other = bob.new_subscription(channel)
        await other.subscribe()
        await other.ready(WAIT)
        joined = {(await heard.next("join")).info.user, (await heard.next("join")).info.user}
        self.assertEqual(joined, {"ann", "bob"})
        for n in range(1, 6):
            await sub.publish(self.say({"n": n}))
            publication = (await heard.next("publication")).pub
            self.assertEqual((self.read(publication.data), publication.offset, publication.info.user), ({"n": n}, n, "ann"))
        first = await sub.history(limit=2)
        self.assertEqual(([p.offset for p in first.publications], first.offset), ([1, 2], 5))
        second = await sub.history(limit=2, since=StreamPosition(2, first.epoch))
        self.assertEqual([p.offset for p in second.publications], [3, 4])
        back = await sub.history(limit=3, since=StreamPosition(4, first.epoch), reverse=True)
        self.assertEqual([p.offset for p in back.publications], [3, 2, 1])
        present = await sub.presence()
        self.assertEqual(sorted(c.user for c in present.clients.values()), ["ann", "bob"])
        stats = await sub.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (2, 2))
        self.assertEqual(self.read((await ann.rpc("greet", self.say({"name": "Ann"}))).data), {"greeting": "hello, Ann"})
        for refused, code in (ann.rpc("nothing", self.say({})), 104), (ann.publish("news:x", self.say(1)), 103), (ann.publish("nowhere:x", self.say(1)), 102):
            with self.assertRaises(ReplyError) as told:
                await refused
            self.assertEqual(told.exception.code, code)
        await other.unsubscribe()
        self.assertEqual((await heard.next("leave")).info.user, "bob")

    async def test_recovery_after_a_cut(self) -> None:
        channel, own, heard, server, line = self.channel("cut"), self.channel("own"), Heard(), Heard(), Line()
        ann = await self.client("ann", server, await line.open(), channels=[own])
        self.addAsyncCleanup(line.close)
        bob = await self.client("bob")
        sub = ann.new_subscription(channel, events=heard, delta=DeltaType.FOSSIL)
        await sub.subscribe()
        await heard.next("subscribed")
        self.assertEqual((await server.next("subscribed")).channel, own)
        text, sent, got = "a text that is longer than a difference to it would be " * 5, 0, 0
        for round in range(3):
            for cut in False, True:
                if cut:
                    line.cut()
                for _ in range(3):
                    sent += 1
                    await bob.publish(channel, self.say({"n": sent, "text": text}))
                await bob.publish(own, self.say({"round": round, "cut": cut}))
                if cut:
                    again = await heard.next("subscribed")
                    self.assertTrue(again.was_recovering and again.recovered)
                while got < sent:
                    got += 1
                    self.assertEqual(self.read((await heard.next("publication")).pub.data), {"n": got, "text": text})
                self.assertEqual(self.read((await server.next("publication")).pub.data), {"round": round, "cut": cut})
        self.assertTrue(heard.queue("publication").empty() and server.queue("publication").empty())

    async def test_refused(self) -> None:
        heard = Heard()
        await self.client("ann", heard, aud="elsewhere")
        self.assertEqual((await heard.next("disconnected")).code, 3500)
        ann = await self.client("ann")
        for channel, code in ("nowhere:x", 102), ("private:x", 103), ("mine:bob", 103):
            events = Heard()
            sub = ann.new_subscription(channel, events=events)
            await sub.subscribe()
            self.assertEqual((await events.next("unsubscribed")).code, code)

    async def test_refresh(self) -> None:
        heard, asked = Heard(), []

        async def fresh() -> str:
            asked.append("connection")
            return token(sub="ann", exp=int(time.time()) + 3)

        async def fresh_subscription(channel: str) -> str:
            asked.append(channel)
            return token(sub="ann", channel=channel, exp=int(time.time()) + 3)

        ann = Client(f"ws://{SERVER}/live/websocket", events=heard, get_token=fresh, use_protobuf=self.protobuf, proxy=None)
        self.addAsyncCleanup(ann.disconnect)
        await ann.connect()
        sub = ann.new_subscription("private:py", events=heard, get_token=fresh_subscription)
        await sub.subscribe()
        await sub.ready(WAIT)
        end = time.monotonic() + WAIT
        while min(asked.count("connection"), asked.count("private:py")) < 3 and time.monotonic() < end:
            await asyncio.sleep(0.05)
        self.assertGreaterEqual(min(asked.count("connection"), asked.count("private:py")), 3, asked)
        self.assertTrue(heard.queue("disconnected").empty() and heard.queue("unsubscribed").empty())


class ProtobufClients(Clients):
    protobuf = True


if __name__ == "__main__":
    unittest.main()
