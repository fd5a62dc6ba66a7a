"""The published client of Centrifugo's server API (cent) against headrace, with the published Python client as subscriber. make test/live runs it."""

from __future__ import annotations

import asyncio
import base64
import os
import time
import unittest
import urllib.error
import urllib.request

import cent
from cent.dto import BoolValue, ChannelOptionsOverride, Disconnect, StreamPosition
from centrifuge import Client

from client_test import SERVER, WAIT, Heard, token

API, KEY = os.environ["LIVE_API"], os.environ["LIVE_KEY"]
room = 0


def fresh(namespace: str = "chat") -> str:
    global room
    room += 1
    return f"{namespace}:api{room}"


class Commands(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.api = cent.AsyncClient(API, KEY)
        self.addAsyncCleanup(self.api.close)

    async def client(self, user: str) -> tuple[Client, Heard]:
        heard = Heard()
        client = Client(f"ws://{SERVER}/live/websocket", events=heard, token=token(sub=user, info={"name": user}), proxy=None)
        await client.connect()
        await asyncio.wait_for(client.ready(), WAIT)
        self.addAsyncCleanup(client.disconnect)
        return client, heard

    async def refused(self, code: int, call: object) -> None:
        with self.assertRaises(cent.CentApiResponseError) as told:
            await call  # type: ignore[misc]
        self.assertEqual(told.exception.code, code, told.exception)

    async def test_publish_history(self) -> None:
        channel = fresh()
        client, heard = await self.client("ann")
        subscription = client.new_subscription(channel, events=heard)
        await subscription.subscribe()
        await heard.next("subscribed")
        first = await self.api.publish(cent.PublishRequest(channel=channel, data={"n": [1, "zwei"]}, tags={"a": "b"}, idempotency_key="k"))
        again = await self.api.publish(cent.PublishRequest(channel=channel, data={"n": [1, "zwei"]}, idempotency_key="k"))
        self.assertEqual((first.offset, first.epoch), (1, again.epoch))
        self.assertEqual(again.offset, 1)
        told = await heard.next("publication")
        self.assertEqual((told.pub.data, told.pub.offset, told.pub.tags), ({"n": [1, "zwei"]}, 1, {"a": "b"}))
        skipped = await self.api.publish(cent.PublishRequest(channel=channel, data="now", skip_history=True))
        self.assertEqual(skipped.offset, 0)
        self.assertEqual((await heard.next("publication")).pub.data, "now")
        encoded = await self.api.publish(cent.PublishRequest(channel=channel, data=None, b64data=base64.b64encode(b'"b64"').decode()))
        self.assertEqual(encoded.offset, 2)
        self.assertEqual((await heard.next("publication")).pub.data, "b64")
        for version, offset in ((5, 3), (4, 3), (6, 4)):  # fields that the library lets through
            got = await self.api.publish(cent.PublishRequest(channel=channel, data=version, version=version, version_epoch="v", delta=True))  # type: ignore[call-arg]
            self.assertEqual(got.offset, offset)

        empty = await self.api.history(cent.HistoryRequest(channel=channel))
        self.assertEqual((empty.publications, empty.offset, empty.epoch), ([], 4, first.epoch))
        page = await self.api.history(cent.HistoryRequest(channel=channel, limit=2, since=StreamPosition(offset=1, epoch=first.epoch)))
        self.assertEqual([p.offset for p in page.publications], [2, 3])
        back = await self.api.history(cent.HistoryRequest(channel=channel, limit=3, reverse=True))
        self.assertEqual([(p.offset, p.data) for p in back.publications], [(4, 6), (3, 5), (2, "b64")])
        await self.refused(112, self.api.history(cent.HistoryRequest(channel=channel, limit=1, since=StreamPosition(offset=1, epoch="other"))))
        await self.api.history_remove(cent.HistoryRemoveRequest(channel=channel))
        gone = await self.api.history(cent.HistoryRequest(channel=channel, limit=10))
        self.assertEqual((gone.publications, gone.offset), ([], 0))
        self.assertNotEqual(gone.epoch, first.epoch)

    async def test_broadcast(self) -> None:
        there, plain = fresh(), fresh("plain")
        got = await self.api.broadcast(cent.BroadcastRequest(channels=[there, "nope:x", plain], data={}, idempotency_key="b"))
        self.assertEqual([r.error.code if r.error else 0 for r in got.responses], [0, 102, 0])
        assert got.responses[0].result and got.responses[2].result
        self.assertEqual((got.responses[0].result.offset, got.responses[2].result.offset), (1, 0))

    async def test_connections(self) -> None:
        channel = fresh()
        ann, heard = await self.client("api-ann")
        client, other = await self.client("api-ann")
        await self.api.publish(cent.PublishRequest(channel=channel, data="before"))
        at = await self.api.history(cent.HistoryRequest(channel=channel))
        await self.api.publish(cent.PublishRequest(channel=channel, data="missed"))
        await self.api.subscribe(cent.SubscribeRequest(user="api-ann", channel=channel, info={"role": "owner"}, data={"why": 1},
                                                       recover_since=StreamPosition(offset=at.offset, epoch=at.epoch)))
        for one in (heard, other):
            self.assertEqual((await one.next("subscribed")).data, {"why": 1})
            self.assertEqual((await one.next("publication")).pub.data, "missed")
        there = await self.api.presence(cent.PresenceRequest(channel=channel))
        self.assertEqual({(p.user, str(p.conn_info), str(p.chan_info)) for p in there.presence.values()}, {("api-ann", "{'name': 'api-ann'}", "{'role': 'owner'}")})
        count = await self.api.presence_stats(cent.PresenceStatsRequest(channel=channel))
        self.assertEqual((count.num_clients, count.num_users), (2, 1))
        found = await self.api.channels(cent.ChannelsRequest(pattern=channel[:-1] + "*"))
        self.assertEqual(found.channels[channel].num_clients, 2)
        self.assertIn(channel, (await self.api.channels(cent.ChannelsRequest())).channels)
        node = (await self.api.info(cent.InfoRequest())).nodes[0]
        self.assertGreaterEqual(node.num_clients, 2)
        self.assertTrue(node.uid and node.name and node.num_subs >= 2 and node.num_channels and node.num_users)

        kept, dropped = sorted(there.presence)
        await self.api.unsubscribe(cent.UnsubscribeRequest(user="api-ann", channel=channel, client=dropped))
        self.assertEqual(list((await self.api.presence(cent.PresenceRequest(channel=channel))).presence), [kept])
        await self.api.refresh(cent.RefreshRequest(user="api-ann", client=kept, expire_at=int(time.time()) + 60))
        await self.api.disconnect(cent.DisconnectRequest(user="api-ann", whitelist=[kept], disconnect=Disconnect(code=4501, reason="moved")))
        done, _ = await asyncio.wait([asyncio.create_task(h.next("disconnected")) for h in (heard, other)], return_when=asyncio.FIRST_COMPLETED, timeout=WAIT)
        self.assertEqual([(d.result().code, d.result().reason) for d in done], [(4501, "moved")])
        self.assertEqual(list((await self.api.presence(cent.PresenceRequest(channel=channel))).presence), [kept])
        await self.api.disconnect(cent.DisconnectRequest(user="api-ann", session="nobody's"))
        await self.api.disconnect(cent.DisconnectRequest(user="another", client=kept))
        self.assertEqual(list((await self.api.presence(cent.PresenceRequest(channel=channel))).presence), [kept])
        await self.api.disconnect(cent.DisconnectRequest(user="api-ann"))

    async def test_refusals(self) -> None:
        for code, call in (
            (102, self.api.publish(cent.PublishRequest(channel="nope:x", data=1))),
            (107, self.api.publish(cent.PublishRequest(channel="", data=1))),
            (107, self.api.publish(cent.PublishRequest(channel="chat:x", data=None))),
            (107, self.api.publish(cent.PublishRequest(channel="chat:x", data=None, b64data="not base64"))),
            (107, self.api.publish(cent.PublishRequest(channel="small:x", data="x" * 2000))),
            (107, self.api.broadcast(cent.BroadcastRequest(channels=[], data=1))),
            (107, self.api.disconnect(cent.DisconnectRequest(user=""))),
            (107, self.api.disconnect(cent.DisconnectRequest(user="ann", disconnect=Disconnect(code=99)))),
            (107, self.api.subscribe(cent.SubscribeRequest(user="", channel="chat:x"))),
            (102, self.api.subscribe(cent.SubscribeRequest(user="ann", channel="nope:x"))),
            (102, self.api.unsubscribe(cent.UnsubscribeRequest(user="ann", channel="nope:x"))),
            (108, self.api.subscribe(cent.SubscribeRequest(user="ann", channel="chat:x", override=ChannelOptionsOverride(presence=BoolValue(value=True))))),
            (108, self.api.presence(cent.PresenceRequest(channel="news:x"))),
            (108, self.api.presence_stats(cent.PresenceStatsRequest(channel="news:x"))),
            (108, self.api.history(cent.HistoryRequest(channel="plain:x"))),
            (108, self.api.history_remove(cent.HistoryRemoveRequest(channel="plain:x"))),
            (108, self.api.publish(cent.PublishRequest(channel="job:01ARZ3NDEKTSV4RRFFQ69G5FAV", data=1))),
        ):
            await self.refused(code, call)

    async def test_batch(self) -> None:
        channel = fresh()
        for parallel in (False, True):
            got = await self.api.batch(cent.BatchRequest(parallel=parallel, requests=[
                cent.PublishRequest(channel=channel, data=1), cent.PublishRequest(channel=channel, data=2), cent.HistoryRequest(channel=channel, limit=100), cent.InfoRequest()]))
            self.assertEqual(len(got.replies), 4)
            if not parallel:
                self.assertEqual([p["data"] if isinstance(p, dict) else p.data for p in got.replies[2].publications], [1, 2])  # type: ignore[attr-defined]
        self.assertEqual((await self.api.history(cent.HistoryRequest(channel=channel))).offset, 4)


class Keys(unittest.TestCase):
    def test_of_the_library(self) -> None:
        client = cent.Client(API, KEY)
        self.addCleanup(client.close)
        self.assertEqual(client.publish(cent.PublishRequest(channel=fresh(), data=1)).offset, 1)
        wrong = cent.Client(API, "wrong")
        self.addCleanup(wrong.close)
        with self.assertRaises(cent.CentUnauthorizedError):
            wrong.publish(cent.PublishRequest(channel=fresh(), data=1))

    def test_in_other_headers(self) -> None:
        for headers, want in (({"Authorization": "apikey " + KEY}, 200), ({"Authorization": "Bearer " + KEY}, 200), ({"X-API-Key": KEY}, 200), ({}, 401),
                              ({"Authorization": KEY}, 401), ({"Authorization": "Basic " + KEY}, 401), ({"X-API-Key": "", "Authorization": "apikey"}, 401),
                              ({"X-API-Key": "wrong", "Authorization": "Bearer " + KEY}, 401)):
            request = urllib.request.Request(API + "/info", b"{}", {"Content-Type": "application/json", **headers})
            try:
                with urllib.request.urlopen(request) as answer:
                    got = answer.status
            except urllib.error.HTTPError as refused:
                got = refused.code
                refused.close()
            self.assertEqual(got, want, headers)


if __name__ == "__main__":
    unittest.main()
