// The fleet example as people look at it: two browsers, one of which loses its network.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { launch, shot, startExample, startNetwork } from './example.js'

let server, browser

// when the flights of the recording reported, in seconds after their first report
const flown = new Map(readFileSync(new URL('../../examples/fleet/data/flights.jsonl', import.meta.url), 'utf8').trim().split('\n').map(line => {
  const [id, , , fixes] = JSON.parse(line)
  return [id, fixes.map(([second]) => second - fixes[0][0])]
}))

before(async () => {
  server = await startExample('fleet')
  browser = await launch()
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

async function visit(t, { network, ...options } = {}) {
  const context = await browser.newContext({ colorScheme: 'light', viewport: { width: 1280, height: 800 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  const errors = []
  page.on('pageerror', error => errors.push(error.message))
  t.after(async () => {
    await context.close()
    assert.deepEqual(errors, [])
  })
  await page.goto(network?.url ?? server.public)
  await state(page, 'connected')
  await page.waitForFunction(() => Number(document.getElementById('aircraft').textContent) > 250)
  return page
}

const state = (page, wanted) => page.locator(`#state[data-state=${wanted}]`).waitFor()
const number = async (page, id) => Number.parseFloat(await page.locator(`#${id}`).textContent())
const places = page => page.evaluate(() => Object.fromEntries([...fleet.aircraft.values()].filter(one => !one.stale).map(one => [one.id, [one.x, one.y]])))
const offsets = async page => (await page.locator('#track').getAttribute('data-offsets') ?? '').split(' ').filter(Boolean).map(Number)
const dense = found => assert.deepEqual(found, found.map((_, at) => found[0] + at))

// young is a flight that is seen for some minutes more, and can be clicked.
const young = page => page.evaluate(() => {
  const free = one => document.elementFromPoint(one.px, one.py)?.id === 'map'
  const all = [...fleet.aircraft.values()].filter(one => one.latitude > 46.4 && one.latitude < 47.1 && one.longitude > 7.3 && one.longitude < 9 && one.altitude > 15_000 && !one.stale && free(one))
  const apart = one => Math.min(...[...fleet.aircraft.values()].filter(other => other !== one).map(other => Math.hypot(other.px - one.px, other.py - one.py)))
  const { id, callsign, px, py } = all.sort((a, b) => apart(b) - apart(a))[0]
  return { id, callsign, px, py }
})

describe('fleet', { timeout: 120_000 }, () => {
  test('several hundred aircraft move, in every frame', async t => {
    const page = await visit(t)
    const before = await places(page)
    await page.waitForFunction(() => Number(document.getElementById('positions').textContent) > 250)
    await page.waitForFunction(() => [...fleet.aircraft.values()].every(one => one.tail.length))
    await page.waitForTimeout(1500) // the page is a little behind, so as to have two positions of everybody
    const steps = await page.evaluate(async () => { // where everybody is, frame by frame
      const seen = new Map()
      for (let frame = 0; frame < 30; frame++) {
        await new Promise(requestAnimationFrame)
        for (const one of fleet.aircraft.values()) seen.set(one.id, [...seen.get(one.id) ?? [], one.x])
      }
      return [...seen.values()].map(xs => new Set(xs).size)
    })
    assert.ok(steps.filter(count => count > 15).length > 250, `moved in most frames: ${steps.filter(count => count > 15).length} of ${steps.length}`)
    const now = await places(page)
    assert.ok(Object.keys(now).filter(id => before[id] && (before[id][0] !== now[id][0] || before[id][1] !== now[id][1])).length > 250)
    assert.ok(await number(page, 'messages') >= 12)
    assert.match(await page.locator('#delay').textContent(), /^\d+ · \d+ ms$/)
    assert.ok(await number(page, 'delay') < 1000)
    await shot(page, 'fleet-light')
  })

  test('a click shows the track, which goes on', async t => {
    const page = await visit(t, { colorScheme: 'dark' })
    const { callsign, px, py } = await young(page)
    await page.mouse.click(px, py)
    await page.locator('#detail').waitFor()
    await page.waitForFunction(() => document.getElementById('track').dataset.offsets?.split(' ').length >= 3)
    assert.equal(await page.locator('#detail-title').evaluate(title => title.firstChild.textContent), callsign)
    const first = await offsets(page)
    dense(first)
    await page.waitForFunction(count => document.getElementById('track').dataset.offsets.split(' ').length > count, first.length)
    await shot(page, 'fleet-dark')
    await page.keyboard.press('Escape')
    assert.equal(await page.locator('#detail').isVisible(), false)
    await page.click('#closer')
    await page.click('#closer')
    await page.click('#closer')
    await page.waitForFunction(() => fleet.tiles.size < 9)
    await page.waitForTimeout(6000) // until there are tails
    await shot(page, 'fleet-close')
  })

  test('a network that is cut loses and repeats nothing of a track', async t => {
    const network = await startNetwork(server.public)
    t.after(() => network.stop())
    const [ada, bob] = [await visit(t), await visit(t, { network })]
    const { callsign } = await young(bob)
    for (const page of [ada, bob]) {
      await page.fill('#callsign', callsign)
      await page.press('#callsign', 'Enter')
      await page.waitForFunction(() => document.getElementById('track').dataset.offsets)
      await page.locator('#track[data-subscribed=true]').waitFor({ state: 'attached' }) // who has read the history only has nothing to recover
    }
    const before = (await offsets(bob)).length
    network.cut()
    await state(bob, 'connecting')
    await bob.waitForFunction(() => Number(document.getElementById('aircraft').textContent) === 0) // none of those on the map is live any more
    await shot(bob, 'fleet-cut')
    await ada.waitForFunction(count => document.getElementById('track').dataset.offsets.split(' ').length >= count, before + 1)
    assert.equal((await offsets(bob)).length, before)
    network.mend()
    await state(bob, 'connected')
    await bob.waitForFunction(() => Number(document.getElementById('track').dataset.recovered) >= 1)
    await bob.waitForFunction(() => Number(document.getElementById('aircraft').textContent) > 250)
    dense(await offsets(bob))
    const [all, own] = [await offsets(ada), await offsets(bob)]
    assert.ok(Math.abs(all.at(-1) - own.at(-1)) <= 1 && all[0] === own[0])
  })

  test('headrace is killed, and the replay and the pages go on', async t => {
    const page = await visit(t)
    const { id, callsign } = await young(page)
    await page.fill('#callsign', callsign)
    await page.press('#callsign', 'Enter')
    await page.waitForFunction(() => document.getElementById('track').dataset.offsets)
    const before = (await offsets(page)).length
    await server.kill()
    await state(page, 'connecting')
    await server.again()
    await state(page, 'connected')
    await page.waitForFunction(() => Number(document.getElementById('aircraft').textContent) > 250)
    await page.waitForFunction(count => document.getElementById('track').dataset.offsets.split(' ').length > count, before)
    dense(await offsets(page))
    const seconds = (await page.locator('#track').getAttribute('data-seconds')).split(' ').map(Number)
    const reported = flown.get(id)
    const from = reported.indexOf(seconds[0])
    assert.deepEqual(seconds, reported.slice(from, from + seconds.length), 'none of its reports is missing or there twice')
  })

  test('a phone', async t => {
    const page = await visit(t, { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, colorScheme: 'dark' })
    const { px, py } = await young(page)
    await page.mouse.click(px, py)
    await page.waitForFunction(() => document.getElementById('track').dataset.offsets)
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page does not scroll sideways')
    await shot(page, 'fleet-phone')
  })
})
