// Processes that are killed, replaced and gone, while customers ask and order.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { open, until } from './shop.js'

let shop
before(async () => { shop = await open() })
after(() => shop?.close())

// crowd are customers who do something over and over until stop is called, which returns what they were answered.
function crowd(size, act) {
  let on = true
  const answers = []
  const all = Array.from({ length: size }, async (_, at) => {
    while (on) {
      answers.push(await act(at).catch(error => ({ status: 0, text: String(error.cause ?? error) })))
      await pause(60) // a customer may ask 20 times a second
    }
  })
  return { answers, async stop() { on = false; await Promise.all(all); return answers } }
}

const unwell = (answers, good) => answers.filter(answer => answer.status !== good).map(answer => `${answer.status} ${answer.text}`)
// Those of the release that most customers get.
const pids = answers => new Set(answers.filter(answer => answer.head?.('x-orders-release') === '1').map(answer => answer.head('x-orders-process')))
const anything = at => at % 2 ? shop.ask('/orders', { as: `reader-${at}` }) : shop.ask(`/orders/${'0'.repeat(26)}`, { as: `reader-${at}` }).then(answer => ({ ...answer, status: answer.status === 404 ? 200 : answer.status }))

test('a process that is killed loses no request that can be asked again', async () => {
  const load = crowd(12, anything)
  const [first, second] = await until('both processes have answered', () => {
    const ids = [...pids(load.answers)]
    return ids.length === 2 && ids
  })
  for (const pid of [first, second]) {
    const known = pids(load.answers)
    process.kill(Number(pid), 'SIGKILL')
    const from = load.answers.length
    await until('another process answers', () => [...pids(load.answers.slice(from))].some(id => !known.has(id)))
  }
  await until('many have asked', () => load.answers.length > 300)
  assert.deepEqual(unwell(await load.stop(), 200), [])
})

test('an order that was lost on the way is sent again, and is there once', async () => {
  const wanted = 40
  const victims = new Set()
  const orders = Array.from({ length: wanted }, async (_, at) => {
    await pause(at * 40)
    const key = { 'idempotency-key': randomUUID() }
    return until('the order is taken', async () => {
      const answer = await shop.order(`buyer-${at % 5}`, { abyssal: 1 }, key).catch(() => ({ status: 0 }))
      if (answer.status === 201 && victims.size < 3 && answer.head('x-orders-release') === '1') {
        const pid = answer.head('x-orders-process')
        if (!victims.has(pid)) {
          victims.add(pid)
          try { process.kill(Number(pid), 'SIGKILL') } catch { /* it is dead already */ }
        }
      }
      return answer.status === 201 && answer
    })
  })
  const ids = new Set((await Promise.all(orders)).map(answer => answer.data.id))
  assert.equal(ids.size, wanted)
  let there = 0
  for (let at = 0; at < 5; at++) there += (await shop.ask('/orders', { as: `buyer-${at}` })).data.count
  assert.equal(there, wanted)
  assert.equal((await shop.ask('/catalogue/products/abyssal')).data.stock, 0)
  assert.ok(victims.size >= 2)
})

test('processes are replaced on reload without a failed request, orders included', async () => {
  await shop.count('acid', 100_000)
  await until('all processes are well', async () => (await shop.upstreams()).find(one => one.name === 'orders').targets.filter(target => target.state === 'healthy').length === 2)
  const load = crowd(10, at => shop.order(`shopper-${at}`, { acid: 1 }))
  const reading = crowd(6, anything)
  await until('both have answered', () => load.answers.length > 50)
  const before = pids(load.answers)
  for (const build of ['2026-11', '2026-12']) {
    const from = load.answers.length
    const known = pids([...load.answers, ...reading.answers])
    shop.change(`upstreams: {orders: {env: {BUILD: "${build}"}}}\n`)
    await until('two new processes answer, and no old one', () => {
      const fresh = pids(load.answers.slice(from))
      const last = pids(load.answers.slice(-30))
      return [...fresh].filter(id => !known.has(id)).length === 2 && [...last].every(id => !known.has(id))
    }, 30_000)
  }
  const answers = await load.stop()
  assert.deepEqual(unwell(answers, 201), [])
  assert.deepEqual(unwell(await reading.stop(), 200), [])
  assert.ok(before.size >= 1)
  let there = 0
  for (let at = 0; at < 10; at++) there += (await shop.ask('/orders', { as: `shopper-${at}` })).data.count
  assert.equal(there, answers.length)
})

test('a configuration that is wrong changes nothing', async () => {
  shop.change('upstreams: {orders: {replicas: 0}}\n')
  await until('it is refused', () => shop.lines.some(line => /HR9003/.test(line) && /replicas/.test(line)))
  assert.equal((await shop.ask('/orders', { as: 'ann' })).status, 200)
  shop.change('{}\n')
})

test('a release that does not start changes nothing', async () => {
  shop.change('upstreams: {catalogue: {run: "false", start_timeout: 1s}}\n')
  await until('it has been tried', () => shop.lines.some(line => /"service":"catalogue"/.test(line) && /ended before it was ready/.test(line)))
  assert.equal((await shop.ask('/catalogue/products?q=acid&limit=2')).status, 200)
  shop.change('{}\n')
})

test('while the catalogue is gone, what is known of it is given, and the dashboard has the rest', async () => {
  await shop.order('zoe', { acid: 1 })
  await shop.ask('/catalogue/products/acid')
  shop.change('upstreams: {catalogue: {run: "", targets: ["http://127.0.0.1:9"]}}\n')
  await until('nobody is there', async () => (await shop.ask(`/catalogue/products?q=${randomUUID()}`)).status >= 500)
  await pause(1100) // what is known is old by now
  const known = await shop.ask('/catalogue/products/acid')
  assert.equal(known.status, 200)
  assert.match(known.head('cache-status'), /hit/)
  const seen = await shop.ask('/dashboard/zoe', { as: 'zoe' })
  assert.equal(seen.status, 200)
  assert.equal(seen.head('x-headrace-complete'), 'false')
  assert.equal(seen.data.orders.length, 1)
  assert.equal(seen.data.standing.tier, 'new')
  assert.deepEqual(Object.keys(seen.data.errors), ['paints'])
  assert.equal((await shop.order('zoe', { acid: 1 })).status, 502)
  shop.change('{}\n')
  await until('it is back', async () => (await shop.ask('/dashboard/zoe', { as: 'zoe' })).head('x-headrace-complete') !== 'false')
})
