// A running headrace with the reports example, on free ports and a data folder of its own.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

const root = resolve(import.meta.dirname, '../..')
export const example = join(root, 'examples/reports')
export const screenshots = join(root, 'build/screenshots')
const binary = resolve(process.env.HEADRACE_BIN ?? join(root, 'build/headrace'))

export async function startServer() {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-browser-'))
  try {
    const server = { ...await run(folder, '127.0.0.1:0', '127.0.0.1:0') }
    return Object.assign(server, {
      // killed as by a power cut, and started again on the same addresses and data
      async restart() {
        await server.end('SIGKILL')
        Object.assign(server, await run(folder, new URL(server.public).host, new URL(server.admin).host))
      },
      async stop() {
        await server.end('SIGTERM')
        rmSync(folder, { recursive: true, force: true })
      },
    })
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

async function run(folder, door, admin) {
  writeFileSync(join(folder, 'headrace.yaml'), `
app: ${join(example, 'app.py')}
engine: {data: data}
server: {listen: "${door}"}
admin: {listen: "${admin}"}
pools: {default: {min: 1, max: 2}}
routes: [{match: "/*", static: ${join(example, 'web')}}]
`)
  const child = spawn(binary, ['run', '--config', 'headrace.yaml'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const lines = []
  const addresses = {}
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
    ...addresses,
    async end(signal) {
      child.kill(signal)
      const forced = setTimeout(() => child.kill('SIGKILL'), 15_000)
      await ended
      clearTimeout(forced)
    },
  }
}
