// What the gateway does for the paint shop, one policy after the other.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { open, until } from './shop.js'

let shop
before(async () => { shop = await open() })
after(() => shop?.close())

const problem = (answer, status, code) => {
  assert.equal(answer.status, status, answer.text)
  assert.match(answer.head('content-type'), /^application\/problem\+json/)
  if (code) assert.equal(answer.data.code, code)
}

test('the catalogue is real, found by name and colour', async () => {
  const all = await shop.ask('/catalogue/products')
  assert.equal(all.data.total, 4961)
  assert.equal(all.data.products.length, 24)
  const blue = await shop.ask('/catalogue/products?family=blue&q=midnight&limit=3')
  assert.ok(blue.data.total >= 3 && blue.data.products.every(one => one.family === 'blue' && /midnight/i.test(one.name)))
  assert.deepEqual(Object.keys(blue.data.products[0]), ['id', 'name', 'hex', 'family', 'price', 'stock'])
})

test('an answer is kept, shared by concurrent requests, confirmed by its ETag, and forgotten when the stock changes', async () => {
  const path = '/catalogue/products/saffron'
  const crowd = await Promise.all(Array.from({ length: 10 }, () => shop.ask(path)))
  assert.ok(crowd.every(answer => answer.status === 200))
  assert.equal(crowd.filter(answer => /stored/.test(answer.head('cache-status'))).length, 1)
  const hit = await shop.ask(path)
  assert.match(hit.head('cache-status'), /^headrace; hit; ttl=/)
  assert.equal((await shop.ask(path, { headers: { 'if-none-match': hit.head('etag') } })).status, 304)

  const list = `/catalogue/products?id=saffron,acid`
  await shop.ask(list)
  assert.match((await shop.ask(list)).head('cache-status'), /hit/)
  assert.equal((await shop.count('saffron', 17)).status, 204)
  for (const at of [path, list]) {
    const fresh = await shop.ask(at)
    assert.doesNotMatch(fresh.head('cache-status'), /hit/, at)
    assert.match(fresh.text, /"saffron".*"stock":17/)
  }
})

test('an old answer is given while a new one is fetched', async () => {
  const path = '/catalogue/products/acapulco-dive'
  await shop.ask(path)
  await pause(2100) // it is fresh for one second, and its age is told in whole ones
  const stale = await shop.ask(path)
  assert.match(stale.head('cache-status'), /^headrace; hit; ttl=-\d/)
  await until('a new one was fetched', async () => /hit; ttl=[01]$/.test((await shop.ask(path)).head('cache-status')))
})

test('requests that do not fit the OpenAPI document of the service never reach it', async () => {
  problem(await shop.ask('/catalogue/products?limit=1000'), 400, 'HR4091')
  problem(await shop.ask('/catalogue/products?family=pink'), 400, 'HR4091')
  problem(await shop.count('saffron', -1), 422, 'HR4092')
  problem(await shop.count('saffron', 'many'), 422, 'HR4092')
})

test('all routes are in one document, with a page', async () => {
  const { data } = await shop.ask('/openapi.json')
  assert.equal(data.openapi, '3.1.1')
  for (const [path, method] of [['/quotes', 'post'], ['/orders/{id}', 'get'], ['/dashboard/{customer}', 'get'], ['/catalogue/stock/{id}', 'put']]) assert.ok(data.paths[path][method], path)
  assert.match((await shop.ask('/openapi')).head('content-type'), /^text\/html/)
})

test('nobody orders without a token, nor with one that is not right', async () => {
  const none = await shop.ask('/orders')
  problem(none, 401, 'HR4040')
  assert.match(none.head('www-authenticate'), /^Bearer realm="headrace"/)
  const wrong = {
    'another secret': shop.signed('ann', { key: 'x'.repeat(43) }), 'no algorithm': shop.signed('ann', { alg: 'none' }),
    'too old': shop.signed('ann', { exp: Math.floor(Date.now() / 1000) - 100 }), 'no token': 'abc',
  }
  for (const [why, token] of Object.entries(wrong)) assert.equal((await shop.ask('/orders', { headers: { authorization: `Bearer ${token}` } })).status, 401, why)
  const scope = await shop.ask('/orders', { headers: { authorization: `Bearer ${shop.signed('ann', { scope: 'stock:write' })}` } })
  assert.equal(scope.status, 403)
  assert.match(scope.head('www-authenticate'), /insufficient_scope/)
  assert.equal((await shop.ask('/catalogue/stock/acid', { method: 'PUT', as: 'ann', json: { tins: 1 } })).status, 403)
})

test('a customer logs in, orders, and is who the token says, whatever else a request claims', async () => {
  const login = await shop.ask('/login', { json: { name: ' Ann ' } })
  assert.equal(login.data.customer, 'ann')
  for (const [name, status, why] of [['A', 422, /^A name has/], ['worker', 401, /name of a service/]]) {
    const refused = await shop.ask('/login', { json: { name } })
    problem(refused, status, 'HR2020')
    assert.match(refused.data.detail, why)
  }
  const headers = { authorization: `Bearer ${login.data.token}`, 'x-customer': 'bob', 'X_Customer': 'bob' }
  const order = await shop.ask('/orders', { json: { lines: [{ product: '3am-latte', quantity: 2 }] }, headers })
  assert.equal(order.status, 201)
  assert.equal(order.data.customer, 'ann')
  assert.equal(order.data.total, 2 * order.data.lines[0].price)
  assert.equal((await shop.ask(order.head('location'), { headers })).data.id, order.data.id)
  problem(await shop.ask(order.head('location'), { as: 'bob' }), 404)
  assert.equal((await shop.ask('/catalogue/products/3am-latte')).data.stock, 38)
})

test('the same order twice is one, and no tin is sold twice', async () => {
  const key = { 'idempotency-key': randomUUID() }
  const twice = await Promise.all([shop.order('cleo', { abloom: 3 }, key), shop.order('cleo', { abloom: 3 }, key), shop.order('cleo', { abloom: 3 }, { ...key, 'x-canary': '1' })])
  assert.deepEqual(twice.map(answer => answer.status), [201, 201, 201])
  assert.equal(new Set(twice.map(answer => answer.data.id)).size, 1)
  assert.equal((await shop.ask('/orders', { as: 'cleo' })).data.count, 1)
  assert.equal((await shop.ask('/catalogue/products/abloom')).data.stock, 37)

  await shop.count('abyssal', 5)
  const rush = await Promise.all(Array.from({ length: 12 }, (_, at) => shop.order(`rush-${at}`, { abyssal: 1 })))
  assert.equal(rush.filter(answer => answer.status === 201).length, 5)
  for (const answer of rush.filter(answer => answer.status !== 201)) problem(answer, 409)
  assert.equal((await shop.ask('/catalogue/products/abyssal')).data.stock, 0)
})

test('a quote is calculated by a function', async () => {
  const quote = await shop.ask('/quotes', { as: 'ann', json: { lines: [{ product: 'acid', quantity: 10 }, { product: 'acai', quantity: 1 }] } })
  const [acid, acai] = quote.data.lines
  assert.equal(quote.data.discount, acid.price)
  assert.equal(quote.data.total, 9 * acid.price + acai.price)
  const refused = await shop.ask('/quotes', { as: 'ann', json: { lines: [{ product: 'nothing', quantity: 1 }] } })
  problem(refused, 422, 'HR2020')
  assert.match(refused.data.detail, /no product/)
  problem(await shop.ask('/quotes', { as: 'ann', json: { lines: 'all' } }), 422, 'HR2002')
})

test('the dashboard is one answer of two services and a function', async () => {
  await shop.order('dora', { 'a-lorange': 3, acid: 2 })
  const seen = await shop.ask('/dashboard/dora', { as: 'dora' })
  assert.equal(seen.status, 200)
  assert.deepEqual(Object.keys(seen.data), ['orders', 'paints', 'standing'])
  assert.deepEqual(Object.keys(seen.data.orders[0]), ['id', 'ordered', 'lines', 'total'])
  assert.deepEqual(seen.data.paints.map(paint => paint.name), ['À l’Orange', 'Acid'])
  const spent = seen.data.orders[0].total
  assert.ok(spent > 7450 && spent < 20_000, String(spent))
  assert.deepEqual(seen.data.standing, { tier: 'new', percent: 0, next: 20_000 - spent })
  problem(await shop.ask('/dashboard/dora', { as: 'ann' }), 403)
  assert.deepEqual((await shop.ask('/dashboard/nobody', { as: 'nobody' })).data.orders, [])
})

test('the canary answers who asks for it, and keeps who came to it', async () => {
  const now = await shop.ask('/orders', { as: 'eve', headers: { 'x-canary': '1' } })
  assert.equal(now.head('x-orders-release'), '2')
  const order = await shop.order('eve', { acid: 1 }, { 'x-canary': '1' })
  assert.match(order.data.arrives, /^\d{4}-\d\d-\d\d$/)
  const releases = {}
  for (let i = 0; i < 12; i++) {
    const answer = await shop.ask('/orders', { as: `guest-${i}` })
    const release = answer.head('x-orders-release')
    releases[release] = (releases[release] ?? 0) + 1
    const cookie = answer.head('set-cookie').split(';')[0]
    assert.match(cookie, /^release=/)
    for (let again = 0; again < 3; again++) assert.equal((await shop.ask('/orders', { as: `guest-${i}`, headers: { cookie } })).head('x-orders-release'), release)
  }
  assert.ok(releases[1] >= 6, JSON.stringify(releases))
})

test('partners come with a key: its scope, its quota, its rate, its end', async () => {
  const csv = key => shop.ask('/partners/stock.csv', { headers: key && { 'x-api-key': key } })
  problem(await csv(), 401, 'HR4040')
  problem(await csv('hr_aaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'), 401)
  const key = await shop.command('key', 'create', '--owner', 'colours ltd', '--scope', 'stock:read', '--quota', '1000/h')
  const table = await csv(key)
  assert.equal(table.status, 200)
  assert.equal(table.text.trim().split('\n').length, 4962)
  const rush = await Promise.all(Array.from({ length: 16 }, () => csv(key)))
  const slow = rush.find(answer => answer.status === 429)
  problem(slow, 429, 'HR4070')
  assert.match(slow.head('retry-after'), /^[12]$/)
  assert.match(slow.head('ratelimit'), /^"partner";r=0;t=\d/)

  const other = await shop.command('key', 'create', '--owner', 'others', '--scope', 'orders:read')
  assert.equal((await csv(other)).status, 403)
  const few = await shop.command('key', 'create', '--owner', 'few', '--scope', 'stock:read', '--quota', '1/h')
  assert.deepEqual([(await csv(few)).status, (await csv(few)).status], [200, 429])
  await shop.command('key', 'revoke', key)
  await until('the key is revoked', async () => (await csv(key)).status === 401)
})

test('a customer who is too fast is told so, and nobody else', async () => {
  const rush = await Promise.all(Array.from({ length: 150 }, () => shop.ask('/orders', { as: 'fay' })))
  const count = status => rush.filter(answer => answer.status === status).length
  assert.ok(count(200) >= 60 && count(429) >= 1 && count(200) + count(429) === 150)
  problem(rush.find(answer => answer.status === 429), 429, 'HR4070')
  assert.equal((await shop.ask('/orders', { as: 'gus' })).status, 200)
})

test('changes of the stock stream to whoever looks, and go on where somebody was', async t => {
  const quit = new AbortController()
  t.after(() => quit.abort())
  const watch = async headers => {
    const answer = await fetch(`${shop.url}/catalogue/changes`, { headers, signal: quit.signal })
    assert.match(answer.headers.get('content-type'), /^text\/event-stream/)
    const seen = { text: '' }
    ;(async () => { for await (const part of answer.body) seen.text += Buffer.from(part).toString() })().catch(() => {})
    await until('the stream has begun', () => seen.text.startsWith(': hello'))
    return seen
  }
  const seen = await watch()
  await shop.count('24-karat', 99)
  const [, id] = await until('a change came', () => /id: (\d+)\nevent: stock\ndata: {"product": "24-karat", "stock": 99}/.exec(seen.text))
  await shop.count('24-karat', 98)
  const again = await watch({ 'last-event-id': id })
  await until('what was missed came', () => /"stock": 98/.test(again.text))
  assert.doesNotMatch(again.text, /"stock": 99/)
})

test('an invoice is a job of a worker', async t => {
  const order = await shop.order('hal', { 'abandoned-spaceship': 12 })
  const job = await shop.ask('/invoices', { as: 'hal', json: { order: order.data.id } })
  assert.equal(job.status, 202)
  const blob = await until('the invoice is written', async () => (await shop.ask(job.data.links.result)).data?.href)
  const pdf = await fetch(shop.url + blob)
  assert.equal(pdf.headers.get('content-type'), 'application/pdf')
  const folder = mkdtempSync(join(tmpdir(), 'headrace-invoice-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'invoice.pdf'), Buffer.from(await pdf.arrayBuffer()))
  const text = execFileSync('pdftotext', ['-layout', join(folder, 'invoice.pdf'), '-'], { encoding: 'utf8' })
  assert.match(text, /Customer: hal/)
  assert.match(text, /Abandoned Spaceship +12/)
  const stranger = await shop.ask('/invoices', { as: 'ivy', json: { order: order.data.id } })
  const state = await until('the invoice is refused', async () => {
    const { data } = await shop.ask(stranger.data.links.self)
    return ['dead', 'succeeded'].includes(data.state) && data.state
  })
  assert.equal(state, 'dead')
  assert.ok(text.includes(`Total`) && text.includes((order.data.total / 100).toFixed(2)), text)
})

test('answers are compressed, and pages are told to be careful', async () => {
  const answer = await fetch(`${shop.url}/catalogue/products?limit=100`, { headers: { 'accept-encoding': 'gzip' } })
  assert.equal(answer.headers.get('content-encoding'), 'gzip')
  assert.equal((await answer.json()).products.length, 100)
  const page = await shop.ask('/shop/')
  assert.equal(page.head('content-security-policy'), "default-src 'self'")
  assert.equal(page.head('x-frame-options'), 'DENY')
  assert.equal((await shop.ask('/')).head('location'), '/shop/')
})

test('the access log has who asked for what, and no secrets', async () => {
  await shop.ask('/orders', { as: 'ida', headers: { 'x-canary': '1' } })
  const line = await until('the line is written', () => shop.access().find(line => line.user === 'ida'))
  assert.equal(line.route, '/orders')
  assert.equal(line.target, 'orders-next/1')
  assert.equal(line['header.x-canary'], '1')
  const all = JSON.stringify(shop.access())
  assert.doesNotMatch(all, /Bearer|eyJ/)
  assert.ok(shop.access().some(line => line.status === 429) && shop.access().some(line => line.user === 'colours ltd' && line.key))
})
