// An example as it is, on free ports and with a data folder of its own, behind a network that the test can cut.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const root = resolve(import.meta.dirname, '../..')
const binary = resolve(process.env.HEADRACE_BIN ?? join(root, 'build/headrace'))
const screenshots = join(root, 'build/screenshots')

export async function startExample(name) {
  const data = mkdtempSync(join(tmpdir(), `headrace-${name}-`))
  const run = (door, admin) => start(name, ['run', '--config', join(root, 'examples', name, 'headrace.yaml'), '--set', `engine.data=${data}`,
    '--set', `server.listen=${door}`, '--set', `admin.listen=${admin}`])
  const server = await run('127.0.0.1:0', '127.0.0.1:0').catch(error => {
    rmSync(data, { recursive: true, force: true })
    throw error
  })
  return Object.assign(server, {
    // as by a power cut
    kill: () => server.end('SIGKILL'),
    async again() {
      Object.assign(server, await run(new URL(server.public).host, new URL(server.admin).host))
    },
    async stop() {
      const end = await server.end('SIGTERM')
      rmSync(data, { recursive: true, force: true })
      if (end.code !== 0) throw new Error(`headrace ended with ${JSON.stringify(end)}\n${server.lines.slice(-20).join('\n')}`)
    },
  })
}

async function start(name, args) {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] })
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
  const late = new Promise((_, fail) => { timer = setTimeout(fail, 60_000, new Error(`headrace with ${name} told no addresses within 60 s`)) })
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
    lines,
    async end(signal) {
      child.kill(signal)
      const forced = setTimeout(() => child.kill('SIGKILL'), 20_000)
      const end = await ended
      clearTimeout(forced)
      return end
    },
  }
}

// A network between a browser and a server: cut() ends all that goes through it and lets nothing new in until mend(). With silent() the
// connections stay, but no byte passes either way: as when a phone leaves the reach of its cell. With deaf() what the browser says still arrives,
// and no answer comes back.
export async function startNetwork(to) {
  const { hostname, port } = new URL(to)
  const sockets = new Set()
  let open = true
  const proxy = createServer(near => {
    if (!open) return near.destroy()
    const far = connect(Number(port), hostname)
    far.answers = true
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one)
      one.setNoDelay(true)
      one.on('error', () => {})
      one.on('close', () => { sockets.delete(one); other.destroy() })
      one.pipe(other)
    }
  })
  await new Promise(done => proxy.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    cut() {
      open = false
      for (const one of sockets) one.destroy()
    },
    silent() {
      open = false
      for (const one of sockets) { one.unpipe(); one.pause() }
    },
    deaf() {
      for (const one of sockets) if (one.answers) { one.unpipe(); one.pause() }
    },
    mend() { open = true },
    async stop() {
      this.cut()
      await new Promise(done => proxy.close(done))
    },
  }
}

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows'],
})

// shot takes a screenshot of what is seen.
export async function shot(page, name) {
  mkdirSync(screenshots, { recursive: true })
  await page.screenshot({ path: join(screenshots, `${name}.png`) })
}
