// A running headrace with the reports example, on free ports and a data folder of its own.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

const root = resolve(import.meta.dirname, '../..')
export const example = join(root, 'examples/reports')
export const screenshots = join(root, 'build/screenshots')
const binary = process.env.HEADRACE_BIN ?? join(root, 'build/headrace')

export async function startServer() {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-browser-'))
  const config = join(folder, 'headrace.yaml')
  writeFileSync(config, `
app: ${join(example, 'app.py')}
engine: {data: ${join(folder, 'data')}}
server: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
pools: {default: {min: 1, max: 2}}
routes: [{match: "/*", static: ${join(example, 'web')}}]
`)
  const child = spawn(binary, ['run', '--config', config], { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines = []
  const ended = new Promise(done => child.on('close', (code, signal) => done({ code, signal })))
  const told = new Promise(done => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', line => {
        lines.push(line)
        const found = /^\s*(public|admin)\s+(http:\S+)/.exec(line)
        if (found) addresses[found[1]] = found[2]
        if (addresses.public && addresses.admin) done()
      })
    }
  })
  const addresses = {}
  let timer
  const late = new Promise((_, fail) => { timer = setTimeout(fail, 60_000, new Error('headrace told no addresses within 60 s')) })
  try {
    await Promise.race([told, late, ended.then(end => { throw new Error(`headrace ended: ${JSON.stringify(end)}`) })])
  } catch (error) {
    child.kill('SIGKILL')
    throw new Error(`${error.message}\n${lines.join('\n')}`)
  } finally {
    clearTimeout(timer)
  }
  return {
    ...addresses, lines, pid: child.pid,
    async stop() {
      child.kill('SIGTERM')
      const forced = setTimeout(() => child.kill('SIGKILL'), 15_000)
      await ended
      clearTimeout(forced)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
