// The shop as people use it: a browser, on a desk and on a phone.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launch, shot } from '../browser/example.js'
import { open, until } from './shop.js'

let shop, browser
before(async () => { [shop, browser] = await Promise.all([open(), launch()]) })
after(async () => {
  await browser?.close()
  await shop?.close()
})

async function visit(t, options) {
  const context = await browser.newContext({ colorScheme: 'light', viewport: { width: 1200, height: 900 }, acceptDownloads: true, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const errors = []
  page.on('pageerror', error => errors.push(error.message))
  page.on('console', line => { if (line.type() === 'error' && !/status of 4\d\d/.test(line.text())) errors.push(line.text()) })
  page.on('request', request => { if (!/^(blob|data):/.test(request.url()) && new URL(request.url()).origin !== shop.url) errors.push(request.url()) })
  t.after(async () => {
    await context.close()
    assert.deepEqual(errors, [])
  })
  await page.goto(shop.url)
  await page.locator('#products li').nth(23).waitFor()
  await page.locator('#live[data-state=open]').waitFor()
  return page
}

const rows = page => page.locator('#log tr').evaluateAll(all => all.map(row => [...row.cells].map(cell => cell.textContent)))

async function login(page, name) {
  await page.fill('#name', name)
  await page.press('#name', 'Enter')
  await page.locator('#dashboard').waitFor()
}

async function find(page, text) {
  await page.fill('#q', text)
  await page.waitForFunction(text => {
    const all = [...document.querySelectorAll('#products strong')]
    return all.length && all.every(one => one.textContent.toLowerCase().includes(text))
  }, text.toLowerCase())
}

test('somebody orders, sees the stock go down, gets an invoice, and sees what the gateway did', async t => {
  const [page, other] = [await visit(t), await visit(t)]
  await find(other, 'saffron')
  await login(page, 'Ann')
  await find(page, 'saffron')
  await page.locator('#products button', { hasText: /^Saffron€/ }).click()
  await find(page, 'midnight')
  await page.locator('#products button').first().click()
  await page.fill('[aria-label="Tins of Saffron"]', '12')
  await page.press('[aria-label="Tins of Saffron"]', 'Tab')
  await page.locator('#quote', { hasText: /saved, VAT € [\d.]+ included/ }).waitFor()
  await page.check('#canary')
  await page.click('#order')
  await page.locator('#told', { hasText: /^Ordered: € [\d.]+, arrives on \d{4}-\d\d-\d\d\.$/ }).waitFor()
  await other.locator('[data-product=saffron].changed', { hasText: '28 in stock' }).waitFor() // it came as an event
  await page.locator('#orders li', { hasText: '12 × Saffron' }).waitFor()
  assert.match(await page.textContent('#standing'), /You are a silver customer; € [\d.]+ to the next tier\./)

  await page.click('#orders button')
  const [file] = await Promise.all([page.waitForEvent('download'), page.click('#orders a')])
  assert.match(file.suggestedFilename(), /^invoice-\w{8}\.pdf$/)

  const log = await rows(page)
  const of = request => log.find(([what]) => what.startsWith(request))
  assert.deepEqual(of('POST /orders').slice(1, 2).concat(of('POST /orders')[4]), ['201', '2'])
  assert.match(of('GET /dashboard/ann')[3], /^\d+$/)
  assert.match(log.map(row => row[2]).join(' '), /uri-miss/)
  await find(page, 'saffron')
  await find(page, 'midnight')
  await until('an answer came from the cache', async () => (await rows(page)).some(row => /hit|stale/.test(row[2])))
  await shot(page, 'orders-light')
})

test('a phone in the dark', async t => {
  const page = await visit(t, { colorScheme: 'dark', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true })
  await shot(page, 'orders-phone')
  await login(page, 'bob')
  await page.locator('#products button').nth(3).tap()
  await page.locator('#quote', { hasText: 'included' }).waitFor()
  await page.tap('#to-basket')
  await page.tap('#order')
  await page.locator('#orders li').waitFor()
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390, 'the page does not scroll sideways')
  await page.locator('#side').evaluate(side => side.scrollIntoView())
  await shot(page, 'orders-phone-ordered')
})

test('what is refused is told', async t => {
  await shop.count('acid', 3)
  const page = await visit(t)
  await page.fill('#name', 'worker')
  await page.press('#name', 'Enter')
  await page.locator('#told.bad', { hasText: 'This is the name of a service' }).waitFor()
  await login(page, 'cleo')
  await find(page, 'acid')
  await page.locator('#products button', { hasText: /^Acid€/ }).click()
  await page.fill('[aria-label="Tins of Acid"]', '4')
  await page.press('[aria-label="Tins of Acid"]', 'Tab')
  await page.click('#order')
  await page.locator('#told.bad', { hasText: 'Of Acid only 3 are left.' }).waitFor()
  await page.click('#logout')
  assert.equal(await page.isVisible('#dashboard'), false)
  assert.equal(await page.isDisabled('#order'), true)
})
