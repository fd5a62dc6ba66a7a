// The paint shop as it is, on free ports and with data of its own, and customers who need no login.
import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

const root = resolve(import.meta.dirname, '../..')
export const example = join(root, 'examples/orders')
const binary = resolve(process.env.HEADRACE_BIN ?? join(root, 'build/headrace'))

export async function open() {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-orders-'))
  const change = join(folder, 'change.yaml') // a second configuration over that of the example
  writeFileSync(change, '{}\n')
  const [door, admin] = [await port(), await port()]
  const url = `http://127.0.0.1:${door}`
  const control = `http://127.0.0.1:${admin}`
  const secret = readFileSync(join(example, 'data/secret'), 'utf8').trim()
  const config = ['--config', join(example, 'headrace.yaml'), '--config', change, '--set', `engine.data=${join(folder, 'engine')}`,
    '--set', `server.listen=127.0.0.1:${door}`, '--set', `admin.listen=127.0.0.1:${admin}`, '--set', `log.access_file=${join(folder, 'access.log')}`]
  const child = spawn(binary, ['run', ...config], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, SHOP_DATA: join(folder, 'shop'), SHOP_URL: url, HEADRACE_SERVER: control, SHOP_FRESH: '1' },
  })
  const lines = []
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', line => lines.push(line))
  let over
  const ended = new Promise(done => child.on('close', (code, signal) => { over = { code, signal }; done(over) }))

  const shop = {
    url,
    lines,
    // signed is a token of a customer, as the function login gives it
    signed(customer, { scope = 'orders', key = secret, alg = 'HS256', exp = Math.floor(Date.now() / 1000) + 600 } = {}) {
      const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
      const body = `${part({ alg, typ: 'JWT' })}.${part({ sub: customer, aud: 'shop', scope, exp })}`
      return `${body}.${alg === 'none' ? '' : createHmac('sha256', key).update(body).digest('base64url')}`
    },
    // ask returns an answer with its body as text and, if it is JSON, as data
    async ask(path, { as, method, json, headers, ...rest } = {}) {
      const answer = await fetch(url + path, {
        method: method ?? (json ? 'POST' : 'GET'),
        headers: { ...as && { authorization: `Bearer ${shop.signed(as)}` }, ...json && { 'content-type': 'application/json' }, ...headers },
        body: json && JSON.stringify(json),
        redirect: 'manual',
        ...rest,
      })
      const text = await answer.text()
      return { status: answer.status, head: name => answer.headers.get(name) ?? '', text, data: text && /json/.test(answer.headers.get('content-type')) ? JSON.parse(text) : undefined }
    },
    order: (customer, lines, headers) => shop.ask('/orders', { as: customer, json: { lines: Object.entries(lines).map(([product, quantity]) => ({ product, quantity })) }, headers }),
    count: (product, tins) => shop.ask(`/catalogue/stock/${product}`, { method: 'PUT', json: { tins }, headers: { authorization: `Bearer ${shop.signed('clerk', { scope: 'stock:write' })}` } }),
    command: (...args) => run(binary, [...args, '--server', control]),
    upstreams: async () => (await (await fetch(`${control}/v1/upstreams`)).json()).upstreams,
    access: () => readFileSync(join(folder, 'access.log'), 'utf8').trim().split('\n').map(line => JSON.parse(line)),
    // change writes the second configuration and has it read
    change(text) {
      writeFileSync(change, text)
      child.kill('SIGHUP')
    },
    async close() {
      if (!over) child.kill('SIGTERM')
      const forced = setTimeout(() => child.kill('SIGKILL'), 20_000)
      const end = await ended
      clearTimeout(forced)
      rmSync(folder, { recursive: true, force: true })
      if (end.code !== 0) throw new Error(`headrace ended with ${JSON.stringify(end)}\n${lines.slice(-20).join('\n')}`)
    },
  }
  try {
    await until('the services are ready', async () => {
      if (over) throw Object.assign(new Error('headrace ended'), { final: true })
      return (await shop.ask('/catalogue/products/acid')).status === 200 && (await shop.ask('/orders', { as: 'probe' })).status === 200 &&
        (await shop.ask('/orders', { as: 'probe', headers: { 'x-canary': '1' } })).status === 200
    }, 40_000)
  } catch (error) {
    child.kill('SIGKILL')
    throw new Error(`${error.message}\n${lines.slice(-30).join('\n')}`)
  }
  return shop
}

// until waits for something to become true, and returns it.
export async function until(what, check, within = 15_000) {
  for (const end = Date.now() + within; ; await pause(50)) {
    try {
      const found = await check()
      if (found) return found
    } catch (error) {
      if (error.final) throw error
    }
    if (Date.now() > end) throw new Error(`not within ${within / 1000} s: ${what}`)
  }
}

// run is what a command prints.
export async function run(command, args, options) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let [out, err] = ['', '']
  child.stdout.on('data', data => { out += data })
  child.stderr.on('data', data => { err += data })
  const code = await new Promise(done => child.on('close', done))
  if (code !== 0) throw new Error(`${command} ended with ${code}\n${out}${err}`.replace(/(\S{200})\S+/g, '$1…'))
  return out.trim()
}

async function port() {
  const server = createServer()
  await new Promise(done => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise(done => server.close(done))
  return port
}
