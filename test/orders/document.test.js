// The catalogue keeps to its OpenAPI document, as schemathesis sees it through the gateway, and the gateway to the same document.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { example, open, run } from './shop.js'

let shop
before(async () => { shop = await open() })
after(() => shop?.close())

test('the document that the gateway holds requests against is that of the service', async () => {
  const own = JSON.parse(readFileSync(join(example, 'catalogue/openapi.json')))
  assert.deepEqual((await shop.ask('/catalogue/openapi.json')).data, own, 'make it again: python -m catalogue.main > catalogue/openapi.json')
})

test('schemathesis finds nothing', async t => {
  const said = await run(join(import.meta.dirname, '.venv/bin/schemathesis'), ['--config-file', 'schemathesis.toml', 'run', `${shop.url}/catalogue/openapi.json`,
    '--origin', shop.url, '-H', `Authorization: Bearer ${shop.signed('clerk', { scope: 'stock:write' })}`,
    '--max-examples', '30', '--max-time', '8', '--rate-limit', '150/s', '--seed', '1'], { cwd: import.meta.dirname })
  const [, generated, passed] = /(\d+) generated, (\d+) passed/.exec(said)
  t.diagnostic(`${generated} requests`)
  assert.equal(generated, passed)
  assert.ok(generated > 150, said)
  const seen = shop.access().filter(line => /schemathesis/.test(line.agent))
  assert.ok(seen.length > 150)
  assert.deepEqual(seen.filter(line => line.status >= 500), [])
})
