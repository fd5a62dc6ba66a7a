// The reports example as a person uses it: Debian's chromium, the built binary, real data.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { chromium } from 'playwright-core'
import { example, screenshots, startServer } from './server.js'

let server, browser, folder, long

before(async () => {
  mkdirSync(screenshots, { recursive: true })
  folder = mkdtempSync(join(tmpdir(), 'headrace-browser-files-'))
  long = join(folder, 'flights-long.csv') // 3 million rows: long enough to look at while it is read
  copyFileSync(join(example, 'data/flights.csv'), long)
  const rows = readFileSync(long)
  const body = rows.subarray(rows.indexOf('\n') + 1)
  for (let i = 0; i < 14; i++) appendFileSync(long, body)
  server = await startServer()
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  })
})

after(async () => {
  await browser?.close()
  await server?.stop()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

// visit opens the page and fails the test on errors in it.
async function visit(t, options = {}) {
  const context = await browser.newContext({ colorScheme: 'light', viewport: { width: 1100, height: 850 }, acceptDownloads: true, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(60_000)
  const errors = []
  page.on('pageerror', error => errors.push(error.message))
  t.after(async () => {
    await context.close()
    assert.deepEqual(errors, [])
  })
  await page.goto(server.public)
  await page.locator('#samples button').first().waitFor()
  return page
}

const shot = (page, name) => page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true })

// watchBar notes every width that the bar is given.
const watchBar = page => page.evaluate(() => {
  window.seen = []
  new MutationObserver(() => window.seen.push(Number(document.getElementById('bar').getAttribute('aria-valuenow'))))
    .observe(document.getElementById('bar'), { attributeFilter: ['aria-valuenow'] })
})

const choose = (page, kind) => page.locator(`input[value=${kind}] + span`).click()
const heading = page => page.locator('#result-title').textContent()

describe('reports', { timeout: 240_000 }, () => {
  test('a CSV from upload to PDF', async t => {
    const page = await visit(t)
    await shot(page, 'choose-light')
    await watchBar(page)
    await page.setInputFiles('#file', join(example, 'data/birdstrikes.csv'))
    await page.locator('#result-title').waitFor()
    assert.equal(await heading(page), 'birdstrikes.csv')
    const facts = await page.locator('.facts').textContent()
    assert.match(facts, /10,000.*rows|rows.*10,000/)
    const text = await page.locator('#result').innerText()
    for (const wanted of ['Airport Name', 'DALLAS/FORT WORTH INTL ARPT (908)', 'Speed IAS in knots', '1990-01-08']) assert.ok(text.includes(wanted), wanted)
    const broken = await page.locator('#result img').evaluateAll(async images => {
      await Promise.all(images.map(image => image.decode()))
      return images.filter(image => image.naturalWidth < 700 || !image.alt).length
    })
    assert.equal(broken, 0)
    assert.equal(await page.locator('#result img').count(), 11)
    const seen = await page.evaluate(() => window.seen)
    assert.ok(new Set(seen.filter(at => at > 0 && at < 100)).size >= 2, `the bar moved: ${seen}`)
    await shot(page, 'table-light')
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#pdf').click()])
    assert.equal(download.suggestedFilename(), 'birdstrikes.pdf')
    const pdf = join(folder, 'report.pdf')
    await download.saveAs(pdf)
    checkPDF(pdf, ['birdstrikes.csv', '10,000 rows, 14 columns', 'Cost Repair', '7,043,545', 'Phase of flight', 'Approach'])
  })

  test('a prepared table of 200,000 rows, in the dark', async t => {
    const page = await visit(t, { colorScheme: 'dark' })
    await shot(page, 'choose-dark')
    await page.locator('[data-sample=flights]').click()
    await page.locator('#result-title').waitFor()
    assert.match(await page.locator('.facts').textContent(), /200,000/)
    await page.locator('#result img').last().evaluate(image => image.decode())
    await shot(page, 'table-dark')
  })

  test('a reload in the middle goes on', async t => {
    const page = await visit(t)
    await page.setInputFiles('#file', long)
    await page.waitForURL(/#follow=/)
    await page.waitForFunction(() => Number(document.getElementById('bar').getAttribute('aria-valuenow')) >= 10 && document.getElementById('note').textContent.startsWith('read'))
    await shot(page, 'working-light')
    await page.reload()
    await page.waitForFunction(() => Number(document.getElementById('bar').getAttribute('aria-valuenow')) >= 10)
    await page.locator('#result-title').waitFor()
    assert.match(await page.locator('.facts').textContent(), /3,000,000/)
    await page.reload()
    await page.locator('#result-title').waitFor()
    assert.equal(await heading(page), 'flights-long.csv')
    await page.locator('#result .again').click()
    await page.locator('#choose-title').waitFor()
    assert.ok(!page.url().includes('#'))
  })

  test('a killed worker is replaced and goes on from the checkpoint', async t => {
    const page = await visit(t)
    await page.setInputFiles('#file', long)
    await page.waitForFunction(() => Number(document.getElementById('bar').getAttribute('aria-valuenow')) >= 45 && document.getElementById('note').textContent.startsWith('read'))
    const { workers } = await (await fetch(`${server.admin}/v1/pools/default`)).json()
    process.kill(workers.find(worker => worker.running > 0).pid, 'SIGKILL')
    await page.locator('#result-title').waitFor()
    const facts = await page.locator('.facts').textContent()
    assert.match(facts, /3,000,000/)
    assert.match(facts, /read by an earlier attempt/)
  })

  test('headrace is killed and started again, and the page goes on by itself', async t => {
    const page = await visit(t)
    await page.setInputFiles('#file', long)
    await page.waitForFunction(() => Number(document.getElementById('bar').getAttribute('aria-valuenow')) >= 45 && document.getElementById('note').textContent.startsWith('read'))
    await server.restart()
    await page.locator('#result-title').waitFor()
    const facts = await page.locator('.facts').textContent()
    assert.match(facts, /3,000,000/)
    assert.match(facts, /read by an earlier attempt/)
  })

  test('cancel ends the work', async t => {
    const page = await visit(t)
    await page.locator('[data-sample=flights-3m]').click()
    await page.waitForFunction(() => Number(document.getElementById('bar').getAttribute('aria-valuenow')) >= 5)
    await page.locator('#cancel').click()
    await page.locator('#failure-title').waitFor()
    assert.equal(await page.locator('#failure-title').textContent(), 'Cancelled')
    const id = /jobs\/([^/]+)\//.exec(page.url())[1]
    assert.equal((await (await fetch(`${server.admin}/v1/jobs/${id}`)).json()).state, 'cancelled')
  })

  test('a broken CSV is told with a hint', async t => {
    const page = await visit(t)
    const path = join(folder, 'broken.csv')
    writeFileSync(path, 'a,b\n1,2\n3,4,5\n')
    await page.setInputFiles('#file', path)
    await page.locator('#failure-title').waitFor()
    assert.equal(await page.locator('#failure-what').textContent(), 'line 3 has 3 fields, but the lines above have 2')
    assert.match(await page.locator('#failure-hint').textContent(), /double quotes/)
    assert.match(await page.locator('#failure-code').textContent(), /Fail · job \w{26}/)
    await shot(page, 'failure-light')
  })

  test('an address whose token is not valid is told with a code', async t => {
    const page = await visit(t)
    await page.goto(`${server.public}/#follow=/jobs/01M82HA0TAYDTB7BTMPVVH5XZB/events?token=nonsense`)
    await page.locator('#failure-title').waitFor()
    assert.match(await page.locator('#failure-code').textContent(), /HR1006/)
  })

  test('a picture by drag and drop', async t => {
    const page = await visit(t)
    await choose(page, 'picture')
    const bytes = readFileSync(join(example, 'data/temple.jpg')).toString('base64')
    const data = await page.evaluateHandle(async bytes => {
      const transfer = new DataTransfer()
      const blob = await (await fetch(`data:image/jpeg;base64,${bytes}`)).blob()
      transfer.items.add(new File([blob], 'temple.jpg', { type: 'image/jpeg' }))
      return transfer
    }, bytes)
    await page.dispatchEvent('#drop', 'drop', { dataTransfer: data })
    await page.locator('#result-title').waitFor()
    assert.equal(await page.locator('tbody tr').count(), 9)
    const links = await page.locator('tbody a').evaluateAll(all => all.map(one => [one.textContent, one.href]))
    for (const [format, href] of links) {
      const answer = await fetch(href)
      assert.equal(answer.headers.get('content-type'), `image/${format.toLowerCase()}`)
      assert.ok((await answer.arrayBuffer()).byteLength > 500)
    }
    await page.locator('#result img').evaluate(image => image.decode())
    await shot(page, 'picture-light')
  })

  test('similar texts', async t => {
    const page = await visit(t, { colorScheme: 'dark' })
    await choose(page, 'texts')
    await page.fill('#like', 'gold and silver coinage, the treasury and the currency')
    await shot(page, 'choose-texts-dark')
    await page.locator('[data-sample=addresses]').click()
    await page.locator('#result-title').waitFor()
    assert.match(await page.locator('.facts').textContent(), /233/)
    assert.match(await page.locator('.list button').first().textContent(), /18[6-9]\d/)
    await page.fill('.filter', '1941')
    assert.match(await page.locator('.card h3').textContent(), /1941 Franklin/)
    await page.locator('.similar button').first().click()
    assert.doesNotMatch(await page.locator('.card h3').textContent(), /1941/)
    await page.fill('.filter', '')
    await shot(page, 'texts-dark')
  })

  test('a phone', async t => {
    const page = await visit(t, { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 })
    await shot(page, 'choose-phone')
    await page.locator('[data-sample=birdstrikes]').click()
    await page.locator('#result-title').waitFor()
    await page.locator('#result img').last().evaluate(image => image.decode())
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page does not scroll sideways')
    await shot(page, 'table-phone')
  })

  test('with the keyboard alone', async t => {
    const page = await visit(t)
    await page.locator('input[value=table]').focus()
    await page.keyboard.press('ArrowRight')
    assert.equal(await page.evaluate(() => document.activeElement.value), 'picture')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.locator('#result-title').waitFor()
    assert.equal(await page.evaluate(() => document.activeElement.id), 'result-title')
  })
})

function checkPDF(path, wanted) {
  const text = execFileSync('pdftotext', ['-layout', path, '-'], { encoding: 'utf8' })
  for (const one of wanted) assert.ok(text.includes(one), `the PDF has ${one}:\n${text}`)
  const pictures = execFileSync('pdfimages', ['-list', path], { encoding: 'utf8' }).trim().split('\n').slice(2)
  assert.ok(pictures.some(line => Number(line.trim().split(/\s+/)[3]) >= 700), `the PDF has a picture:\n${pictures}`)
}
