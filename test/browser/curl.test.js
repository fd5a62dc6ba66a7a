// The curl lines of the example's README, as they are but for the address.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { example, startServer } from './server.js'

const run = promisify(execFile)
const lines = readFileSync(join(example, 'README.md'), 'utf8').split('\n').filter(line => line.startsWith('curl '))
const follow = lines.filter(line => line.includes('FOLLOW'))
let server

before(async () => { server = await startServer() })
after(() => server?.stop())

async function bash(line, env = {}) {
  const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', line.replaceAll('http://127.0.0.1:8080', server.public)],
    { cwd: example, env: { ...process.env, ...env }, maxBuffer: 64 << 20 })
  return stdout
}

test('the README has a line for each use case and for what follows', () => {
  assert.ok(lines.length - follow.length >= 6)
  assert.equal(follow.length, 3)
})

for (const line of lines.filter(line => !line.includes('FOLLOW'))) {
  test(line, async () => {
    const answer = JSON.parse(await bash(line))
    if (Array.isArray(answer)) return assert.ok(answer.length >= 6)
    assert.equal(answer.state, 'ready')
    const [events, result] = follow
    assert.match(await bash(events, { FOLLOW: answer.follow }), /event: progress[\s\S]*"state":"succeeded"/)
    assert.ok(JSON.parse(await bash(result, { FOLLOW: answer.follow })))
  })
}

test(follow[2], async () => {
  const answer = JSON.parse(await bash(lines.find(line => line.includes('flights-3m'))))
  await bash(follow[2], { FOLLOW: answer.follow })
  assert.match(await bash(follow[0], { FOLLOW: answer.follow }), /"state":"cancelled"/)
})
