// The published JavaScript client and plain EventSource and WebSocket against headrace. make test/live runs it.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { Centrifuge } from 'centrifuge'
import { Centrifuge as CentrifugeProtobuf } from 'centrifuge/build/protobuf'
import { EventSource } from 'eventsource'
import WebSocket from 'ws'

const server = process.env.LIVE_SERVER
const kinds = ['websocket json', 'websocket protobuf', 'sse json', 'http_stream json', 'http_stream protobuf']
let names = 0

function token(claims) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ aud: process.env.LIVE_AUDIENCE, exp: Math.floor(Date.now() / 1000) + 600, ...claims })}`
  return `${text}.${createHmac('sha256', process.env.LIVE_SECRET).update(text).digest('base64url')}`
}

// A line that can be cut.
async function line(t) {
  const sockets = new Set()
  const proxy = net.createServer(client => {
    const [host, port] = server.split(':')
    const upstream = net.connect(Number(port), host)
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      sockets.add(from)
      from.on('error', () => {}).on('close', () => { sockets.delete(from); to.destroy() }).pipe(to)
    }
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.after(() => { proxy.close(); for (const s of sockets) s.destroy() })
  return { address: `127.0.0.1:${proxy.address().port}`, cut() { for (const s of sockets) s.destroy() } }
}

function connect(t, kind, user, claims = {}, address = server) {
  const [transport, format] = kind.split(' ')
  const Client = format === 'json' ? Centrifuge : CentrifugeProtobuf
  const scheme = transport === 'websocket' ? 'ws' : 'http'
  const client = new Client([{ transport, endpoint: `${scheme}://${address}/live/${transport}` }], {
    token: token({ sub: user, info: { name: user }, ...claims }), websocket: WebSocket, eventsource: EventSource, fetch, readableStream: ReadableStream,
    emulationEndpoint: `http://${address}/live/emulation`, minReconnectDelay: 50, maxReconnectDelay: 200,
  })
  client.on('error', e => t.diagnostic(`${kind}: ${JSON.stringify(e)}`))
  t.after(() => client.disconnect())
  return client
}

// What an emitter emits from now on; next waits for one.
function events(emitter, ...kinds) {
  const got = [], waiting = []
  for (const kind of kinds) {
    emitter.on(kind, value => {
      const one = { kind, ...value }
      const next = waiting.shift()
      if (next) next(one); else got.push(one)
    })
  }
  return {
    next: () => new Promise((done, fail) => {
      if (got.length) return done(got.shift())
      const timer = setTimeout(() => fail(new Error(`no ${kinds} came`)), 20_000)
      waiting.push(value => { clearTimeout(timer); done(value) })
    }),
    rest: () => got,
  }
}

for (const kind of kinds) {
  const say = value => kind.endsWith('json') ? value : new TextEncoder().encode(JSON.stringify(value))
  const read = value => kind.endsWith('json') ? value : JSON.parse(new TextDecoder().decode(value))

  test(`${kind}: subscribe, publish, history, presence, join and leave, RPC`, async t => {
    const channel = `chat:js-${++names}-${Date.now()}`
    const one = connect(t, kind, 'ann'), two = connect(t, 'websocket json', 'bob')
    const sub = one.newSubscription(channel, { joinLeave: true, recoverable: true })
    const told = events(sub, 'publication', 'join', 'leave'), open = events(sub, 'subscribed')
    sub.subscribe()
    one.connect()
    const subscribed = await open.next()
    assert.equal(subscribed.recoverable, true)
    assert.equal(subscribed.streamPosition.offset, 0)
    assert.ok(subscribed.streamPosition.epoch)

    const other = two.newSubscription(channel)
    other.subscribe()
    two.connect()
    let join = await told.next()
    if (join.info.user === 'ann') join = await told.next() // its own comes first
    assert.deepEqual([join.kind, join.info.user, read(kind.endsWith('json') ? join.info.connInfo : join.info.connInfo)], ['join', 'bob', { name: 'bob' }])

    for (let n = 1; n <= 5; n++) {
      await sub.publish(say({ n }))
      const p = await told.next()
      assert.deepEqual([p.kind, read(p.data), p.offset, p.info.user], ['publication', { n }, n, 'ann'])
    }
    const epoch = subscribed.streamPosition.epoch
    const first = await sub.history({ limit: 2 })
    assert.deepEqual(first.publications.map(p => p.offset), [1, 2])
    assert.deepEqual([first.offset, first.epoch], [5, epoch])
    const second = await sub.history({ limit: 2, since: { offset: first.publications.at(-1).offset, epoch } })
    assert.deepEqual(second.publications.map(p => read(p.data).n), [3, 4])
    const back = await sub.history({ limit: 2, reverse: true })
    assert.deepEqual(back.publications.map(p => p.offset), [5, 4])
    const further = await sub.history({ limit: 10, reverse: true, since: { offset: 4, epoch } })
    assert.deepEqual(further.publications.map(p => p.offset), [3, 2, 1])
    assert.deepEqual((await sub.history({ limit: 0 })).publications, [])
    await assert.rejects(sub.history({ limit: 1, since: { offset: 1, epoch: 'other' } }), { code: 112 })

    const present = Object.values((await sub.presence()).clients).map(c => c.user).sort()
    assert.deepEqual(present, ['ann', 'bob'])
    assert.deepEqual(await sub.presenceStats(), { numClients: 2, numUsers: 2 })
    assert.deepEqual(read((await one.rpc('greet', say({ name: 'Ann' }))).data), { greeting: 'hello, Ann' })
    await assert.rejects(one.rpc('announce', say({})), { code: 104 })
    await assert.rejects(one.publish('news:today', say(1)), { code: 103 })

    two.disconnect()
    const leave = await told.next()
    assert.deepEqual([leave.kind, leave.info.user], ['leave', 'bob'])
    sub.unsubscribe()
    await assert.doesNotReject(one.publish(channel, say('nobody hears it')))
    assert.deepEqual(told.rest(), [])
  })

  test(`${kind}: recovers what it missed while the line was cut`, async t => {
    const channel = `chat:cut-${++names}-${Date.now()}`
    const wire = await line(t)
    const one = connect(t, kind, 'ann', { channels: [`chat:server-${names}-${Date.now()}`] }, wire.address), two = connect(t, 'websocket json', 'bob')
    const serverSub = events(one, 'subscribed'), fromServer = events(one, 'publication')
    const sub = one.newSubscription(channel, { delta: 'fossil' })
    const got = events(sub, 'publication'), open = events(sub, 'subscribed')
    sub.subscribe()
    one.connect()
    two.connect()
    const { channel: own } = await serverSub.next()
    await open.next()
    const long = 'a text long enough that a difference is shorter than it '.repeat(5)
    let sent = 0, heard = 0
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 3; n++) await two.publish(channel, { n: ++sent, long })
      while (heard < sent) assert.equal(read((await got.next()).data).n, ++heard)
      await two.publish(own, { round })
      assert.deepEqual(read((await fromServer.next()).data), { round })
      wire.cut()
      for (let n = 0; n < 3; n++) await two.publish(channel, { n: ++sent, long })
      await two.publish(own, { missed: round })
      const again = await open.next()
      assert.deepEqual([again.wasRecovering, again.recovered], [true, true])
      while (heard < sent) assert.deepEqual(read((await got.next()).data), { n: ++heard, long })
      assert.equal((await serverSub.next()).recovered, true)
      assert.deepEqual(read((await fromServer.next()).data), { missed: round })
    }
    assert.deepEqual(got.rest().concat(fromServer.rest()), [])
  })
}

test('refused: tokens and channels', async t => {
  const ended = async claims => {
    const client = connect(t, 'websocket json', 'ann', claims)
    const over = events(client, 'disconnected', 'error')
    client.connect()
    return over.next()
  }
  assert.deepEqual({ ...await ended({ aud: 'elsewhere' }) }, { kind: 'disconnected', code: 3500, reason: 'invalid token' })
  const client = connect(t, 'websocket json', 'ann')
  client.connect()
  await client.ready()
  for (const [channel, code] of [['nowhere:x', 102], ['bare', 102], ['mine:bob', 103], ['private:x', 103], ['chat:a\u0001b', 107], [`chat:${'x'.repeat(300)}`, 106]]) {
    const sub = client.newSubscription(channel)
    const over = events(sub, 'unsubscribed', 'error', 'subscribed')
    sub.subscribe()
    const end = await over.next()
    assert.equal(end.code ?? end.error.code, code, channel.slice(0, 30))
    sub.unsubscribe()
  }
  const sub = client.newSubscription('mine:ann')
  sub.subscribe()
  await sub.ready()
})

test('the token is refreshed before it ends, and so is that of a subscription', async t => {
  const soon = () => Math.floor(Date.now() / 1000) + 3
  let asked = 0, askedSub = 0
  const client = new Centrifuge(`ws://${server}/live/websocket`, {
    websocket: WebSocket, getToken: async () => { asked++; return token({ sub: 'ann', exp: soon() }) },
  })
  t.after(() => client.disconnect())
  const states = events(client, 'connecting', 'connected', 'disconnected')
  const sub = client.newSubscription('private:room', {
    getToken: async ({ channel }) => { askedSub++; return token({ sub: 'ann', channel, exp: soon() }) },
  })
  const subStates = events(sub, 'subscribing', 'subscribed', 'unsubscribed')
  sub.subscribe()
  client.connect()
  await sub.ready()
  const end = Date.now() + 15_000
  while ((asked < 3 || askedSub < 3) && Date.now() < end) await new Promise(done => setTimeout(done, 50))
  assert.ok(asked >= 3 && askedSub >= 3, `${asked} and ${askedSub} tokens`)
  assert.deepEqual(states.rest().map(s => s.kind), ['connecting', 'connected'])
  assert.deepEqual(subStates.rest().map(s => s.kind), ['subscribing', 'subscribed'])
})

test('plain EventSource on uni_sse', async t => {
  const channel = `chat:uni-${Date.now()}`
  const talker = connect(t, 'websocket json', 'bob')
  talker.connect()
  await talker.ready()
  const source = new EventSource(`http://${server}/live/uni_sse?channels=${channel}&token=${token({ sub: 'ann' })}`)
  t.after(() => source.close())
  const got = uni(source, event => event.data)
  assert.ok((await got('connect')).connect.client)
  assert.equal((await got('subscribe')).channel, channel)
  await talker.publish(channel, { hello: 1 })
  assert.deepEqual((await got('pub')).pub.data, { hello: 1 })
})

test('plain EventSource that is cut off and recovers', async t => {
  const channels = [1, 2].map(n => `chat:uni-cut-${n}-${Date.now()}`)
  const talker = connect(t, 'websocket json', 'bob')
  talker.connect()
  await talker.ready()
  const wire = await line(t)
  const source = new EventSource(`http://${wire.address}/live/uni_sse?channels=${channels}&token=${token({ sub: 'ann' })}`)
  t.after(() => source.close())
  const got = uni(source, event => event.data)
  await got('subscribe')
  await got('subscribe')
  for (let n = 0; n < 3; n++) {
    if (n === 1) wire.cut()
    for (const channel of channels) await talker.publish(channel, { n })
  }
  const seen = { [channels[0]]: [], [channels[1]]: [] }
  while (Object.values(seen).flat().length < 6) {
    const { channel, pub } = await got('pub')
    seen[channel].push(pub.data.n)
  }
  assert.deepEqual(Object.values(seen), [[0, 1, 2], [0, 1, 2]])
})

test('plain WebSocket on uni_websocket, with its token in the address or in its first message', async t => {
  const talker = connect(t, 'websocket json', 'bob')
  talker.connect()
  await talker.ready()
  for (const where of ['address', 'message', 'both']) {
    const channel = `chat:uni-ws-${++names}-${Date.now()}`
    const own = token(where === 'message' ? { sub: 'ann', channels: [channel] } : { sub: 'ann' })
    const query = { address: `?channels=${channel}&token=${own}`, message: '', both: `?channels=${channel}` }[where]
    const socket = new WebSocket(`ws://${server}/live/uni_websocket${query}`)
    t.after(() => socket.terminate())
    const got = uni(socket, event => event.data)
    if (where !== 'address') socket.addEventListener('open', () => socket.send(JSON.stringify({ token: own })))
    const { connect: told } = await got('connect')
    assert.ok(told.client)
    if (where !== 'message') assert.equal((await got('subscribe')).channel, channel)
    else assert.ok(told.subs[channel].recoverable)
    await talker.publish(channel, { hello: 1 })
    assert.deepEqual((await got('pub')).pub.data, { hello: 1 })
  }
})

// The pushes of a one-way connection; what comes between those asked for, as joins and pings, is left out.
function uni(source, text) {
  const got = events({ on: (_, take) => source.addEventListener('message', event => {
    for (const one of String(text(event)).split('\n')) if (one.trim()) take({ push: JSON.parse(one) })
  }) }, 'message')
  return async kind => {
    for (;;) {
      const { push } = await got.next()
      if (push[kind]) return push
      if (push.disconnect) throw new Error(JSON.stringify(push))
    }
  }
}
