// The chat example as people use it: two browsers, one of which loses its network.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { launch, shot, startExample, startNetwork } from './example.js'

let server, browser

before(async () => {
  server = await startExample('chat')
  browser = await launch()
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

// visit is a person with a browser of their own, in a room.
async function visit(t, name, room, { network, ...options } = {}) {
  const context = await browser.newContext({ colorScheme: 'light', viewport: { width: 1100, height: 800 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  const errors = []
  page.on('pageerror', error => errors.push(error.message))
  t.after(async () => {
    await context.close()
    assert.deepEqual(errors, [])
  })
  await page.goto(`${network?.url ?? server.public}/#${room}`)
  await page.fill('#name', name)
  await page.click('#enter button')
  await page.locator('#state[data-state=connected]').waitFor()
  return page
}

async function say(page, text) {
  await page.fill('#text', text)
  await page.press('#text', 'Enter')
}

const texts = page => page.locator('#messages .message .text').allTextContents()
const state = (page, wanted) => page.locator(`#state[data-state=${wanted}]`).waitFor()
const people = (page, names) => page.waitForFunction(names => JSON.stringify([...document.querySelectorAll('#people li > span:nth-child(2)')].map(one => one.textContent)) === names, JSON.stringify(names))
const last = (page, text) => page.waitForFunction(text => [...document.querySelectorAll('#messages .message .text')].at(-1)?.textContent === text, text)

// offsets are those of the messages on the page: without gaps, none twice.
async function dense(page) {
  const offsets = await page.locator('#messages .message').evaluateAll(all => all.map(one => Number(one.dataset.offset)))
  assert.deepEqual(offsets, offsets.map((_, at) => offsets[0] + at))
}

describe('chat', { timeout: 120_000 }, () => {
  test('two people talk; presence, typing, joining and leaving', async t => {
    const ada = await visit(t, 'Ada Lovelace', 'mountains')
    await people(ada, ['Ada Lovelace'])
    const charles = await visit(t, 'Charles', 'mountains')
    await people(ada, ['Ada Lovelace', 'Charles'])
    await people(charles, ['Ada Lovelace', 'Charles'])
    await say(ada, 'Has anybody been up the Säntis this week?')
    await last(charles, 'Has anybody been up the Säntis this week?')
    await charles.locator('#text').pressSequentially('Yes, on Tues')
    await ada.waitForFunction(() => document.getElementById('typing').textContent === 'Charles is typing')
    await shot(ada, 'chat-typing')
    await say(charles, 'Yes, on Tuesday. Snow above 2,100 m, and the path from the Meglisalp was closed.')
    await last(ada, 'Yes, on Tuesday. Snow above 2,100 m, and the path from the Meglisalp was closed.')
    assert.equal(await ada.locator('#typing').textContent(), '')
    await say(ada, 'Thanks!')
    await say(ada, 'Then I take the cable car.\nDown as well.')
    await last(charles, 'Then I take the cable car.\nDown as well.')
    await say(charles, 'Write to me at charles@example.org if you want the track.')
    await last(ada, 'Write to me at [address removed] if you want the track.')
    await say(charles, '<img src=x onerror=alert(1)>')
    await last(ada, '<img src=x onerror=alert(1)>')
    await dense(ada)
    await shot(ada, 'chat-light')
    assert.deepEqual(await texts(ada), await texts(charles))
    await charles.click('#rename')
    await people(ada, ['Ada Lovelace'])
    await charles.fill('#name', 'Charles Babbage')
    await charles.click('#enter button')
    await people(ada, ['Ada Lovelace', 'Charles Babbage'])
    assert.deepEqual(await texts(charles), await texts(ada))
    await charles.context().close()
    await people(ada, ['Ada Lovelace'])
  })

  test('what offends is refused before anybody sees it', async t => {
    const ada = await visit(t, 'Ada', 'kitchen', { colorScheme: 'dark' })
    const rude = await visit(t, 'Rude', 'kitchen')
    await say(rude, 'hello all')
    await say(rude, 'you are a bunch of stupid assholes')
    await rude.locator('#pending .refused').waitFor()
    assert.match(await rude.locator('#pending .refused .foot').textContent(), /offend/)
    await shot(rude, 'chat-refused')
    await say(rude, 'sorry, I mean: good evening')
    await last(ada, 'sorry, I mean: good evening')
    assert.deepEqual(await texts(ada), ['hello all', 'sorry, I mean: good evening'])
    await shot(ada, 'chat-dark')
    await rude.locator('#pending .refused button', { hasText: 'Edit' }).click()
    assert.equal(await rude.inputValue('#text'), 'you are a bunch of stupid assholes')
    assert.equal(await rude.locator('#pending li').count(), 0)
    const again = await browser.newContext()
    const page = await again.newPage()
    await page.goto(server.public)
    await page.fill('#name', 'stupid asshole')
    await page.click('#enter button')
    await page.locator('#refused:not([hidden])').waitFor()
    await shot(page, 'chat-welcome')
    await again.close()
  })

  test('a network that is cut loses and repeats nothing', async t => {
    const network = await startNetwork(server.public)
    t.after(() => network.stop())
    const ada = await visit(t, 'Ada', 'cut')
    const bob = await visit(t, 'Bob', 'cut', { network })
    await people(ada, ['Ada', 'Bob'])
    await say(bob, 'before')
    await last(ada, 'before')
    await last(bob, 'before')
    await bob.waitForFunction(() => !document.querySelector('#pending li'))
    network.cut()
    await state(bob, 'connecting')
    await people(ada, ['Ada'])
    for (const text of ['one', 'two', 'three']) await say(ada, text)
    await last(ada, 'three')
    await say(bob, 'said without a network')
    await say(bob, 'and this too')
    assert.deepEqual(await bob.locator('#pending .text').allTextContents(), ['said without a network', 'and this too'])
    assert.deepEqual(await texts(bob), ['before'])
    await shot(bob, 'chat-cut')
    network.mend()
    await state(bob, 'connected')
    await last(bob, 'and this too')
    await last(ada, 'and this too')
    await people(ada, ['Ada', 'Bob'])
    const all = ['before', 'one', 'two', 'three', 'said without a network', 'and this too']
    assert.deepEqual(await texts(bob), all)
    assert.deepEqual(await texts(ada), all)
    await dense(bob)
    assert.match(await bob.locator('.back').textContent(), /^Connection was lost for \d+ s. 3 messages caught up.$/)
    assert.equal(await bob.locator('#pending li').count(), 0)
    await shot(bob, 'chat-recovered')
  })

  test('what arrived and was not confirmed is not said twice', async t => {
    const network = await startNetwork(server.public)
    t.after(() => network.stop())
    const ada = await visit(t, 'Ada', 'deaf')
    const bob = await visit(t, 'Bob', 'deaf', { network })
    await people(bob, ['Ada', 'Bob'])
    network.deaf()
    await say(bob, 'does anybody hear me?')
    await last(ada, 'does anybody hear me?')
    assert.deepEqual(await bob.locator('#pending .text').allTextContents(), ['does anybody hear me?'])
    network.cut()
    await state(bob, 'connecting')
    network.mend()
    await last(bob, 'does anybody hear me?')
    await bob.waitForFunction(() => !document.querySelector('#pending li'))
    await say(ada, 'yes')
    await last(bob, 'yes')
    for (const page of [ada, bob]) assert.deepEqual(await texts(page), ['does anybody hear me?', 'yes'])
    await dense(bob)
  })

  test('a browser that goes offline, and a line that goes silent', async t => {
    const network = await startNetwork(server.public)
    t.after(() => network.stop())
    const ada = await visit(t, 'Ada', 'offline')
    const bob = await visit(t, 'Bob', 'offline', { network })
    await bob.context().setOffline(true)
    await state(bob, 'connecting')
    await people(ada, ['Ada']) // the server has seen it go, so the connection is really cut
    await say(ada, 'while offline')
    await last(ada, 'while offline')
    await bob.context().setOffline(false)
    await last(bob, 'while offline')
    await people(ada, ['Ada', 'Bob'])
    network.silent() // only the missing ping tells
    await say(ada, 'into the silence')
    await say(bob, 'out of the silence')
    await state(bob, 'connecting')
    await people(ada, ['Ada'])
    network.mend()
    await last(ada, 'out of the silence')
    await last(bob, 'out of the silence')
    assert.deepEqual(await texts(bob), ['while offline', 'into the silence', 'out of the silence'])
    await dense(bob)
  })

  test('headrace is killed while people write, and nothing is lost or twice', async t => {
    const ada = await visit(t, 'Ada', 'killed')
    const bob = await visit(t, 'Bob', 'killed')
    const said = []
    const talk = async (page, name, count) => {
      for (let at = 1; at <= count; at++) {
        said.push(`${name} ${at}`)
        await say(page, `${name} ${at}`)
      }
    }
    await talk(ada, 'Ada', 3)
    await last(bob, 'Ada 3')
    const talking = Promise.all([talk(ada, 'ada', 6), talk(bob, 'bob', 6)])
    await server.kill()
    await talking
    await Promise.all([state(ada, 'connecting'), state(bob, 'connecting')])
    await server.again()
    for (const page of [ada, bob]) {
      await page.waitForFunction(count => document.querySelectorAll('#messages .message').length >= count && !document.querySelector('#pending li'), said.length)
      assert.deepEqual((await texts(page)).toSorted(), said.toSorted())
      for (const name of ['ada', 'bob']) assert.deepEqual((await texts(page)).filter(text => text.startsWith(name)), said.filter(text => text.startsWith(name)))
      await dense(page)
    }
    assert.deepEqual(await texts(ada), await texts(bob))
    await people(ada, ['Ada', 'Bob'])
  })

  test('history on scrolling back, and other rooms', async t => {
    const ada = await visit(t, 'Ada', 'long')
    await ada.evaluate(async () => { // over many connections, since one may say no more than five things in a second
      const { token } = await (await fetch('token', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: 'Many', key: 'm'.repeat(32) }) })).json()
      for (let from = 1; from <= 130; from += 5) {
        const client = new Centrifuge(`ws://${location.host}/live/websocket`, { token })
        client.connect()
        for (let at = from; at < from + 5; at++) await client.publish('chat:long', { id: `message-${at}`, text: `line ${at}` })
        client.disconnect()
      }
    })
    await last(ada, 'line 130')
    const bob = await visit(t, 'Bob', 'long', { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2 })
    await last(bob, 'line 130')
    assert.equal((await texts(bob))[0], 'line 91')
    while ((await texts(bob)).length < 130) {
      const moved = await bob.evaluate(async () => {
        const top = document.querySelector('#messages .message').dataset.offset
        const y = () => document.querySelector(`[data-offset="${top}"] .text`).getBoundingClientRect().y
        document.getElementById('log').scrollTop = 100
        const seen = y()
        const count = () => document.querySelectorAll('#messages .message').length
        for (const before = count(); count() === before;) await new Promise(requestAnimationFrame)
        return y() - seen
      })
      assert.ok(Math.abs(moved) < 60, `what is read stays where it is, but moved by ${moved}`)
    }
    assert.equal((await texts(bob))[0], 'line 1')
    await dense(bob)
    assert.equal(await bob.locator('#older').textContent(), 'This is the beginning of #long.')
    assert.ok(await bob.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page does not scroll sideways')
    await bob.locator('#log').evaluate(log => { log.scrollTop = 0 })
    await shot(bob, 'chat-phone')
    await bob.click('#menu')
    await bob.locator('#rooms button', { hasText: 'lobby' }).waitFor()
    await bob.waitForTimeout(250) // the drawer slides in
    await shot(bob, 'chat-phone-menu')
    await bob.locator('#rooms button', { hasText: 'lobby' }).click()
    await say(ada, 'are you still there?')
    await bob.click('#menu')
    await bob.locator('.unread', { hasText: '1' }).waitFor()
    assert.equal(await bob.title(), '(1) lobby · Chat')
    await bob.locator('#rooms button', { hasText: 'long' }).click()
    await last(bob, 'are you still there?')
    assert.equal(await bob.locator('.unread').count(), 0)
  })
})
