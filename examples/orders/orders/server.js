// Orders. Who asks is in X-Customer, which only the gateway can set.
// node orders/server.js SOCKET [RELEASE]
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import Fastify from 'fastify'
import { reserve } from './catalogue.js'
import { Journal } from './journal.js'

const [socket, release = '1'] = process.argv.slice(2)
const journal = new Journal(join(process.env.SHOP_DATA ?? 'data', 'orders.jsonl'))
const app = Fastify({ logger: { level: 'warn' }, ajv: { customOptions: { removeAdditional: false, coerceTypes: 'array' } } })

app.addHook('onSend', async (request, reply) => {
  reply.header('X-Orders-Release', release).header('X-Orders-Process', process.pid)
})

app.setErrorHandler((error, request, reply) => {
  const status = error.statusCode ?? 500
  if (status >= 500) request.log.error(error)
  reply.code(status).type('application/problem+json').send(JSON.stringify({ status, title: status < 500 ? error.message : 'orders failed' }))
})

app.get('/health', async () => ({ status: 'ok' }))

app.get('/orders', {
  schema: { querystring: { type: 'object', properties: { customer: { type: 'string' }, limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 } } } },
}, async request => {
  const { customer = who(request), limit } = request.query
  if (customer !== who(request)) throw refusal(403, 'These are the orders of somebody else.')
  const all = journal.of(customer)
  const orders = all.slice(0, limit).map(shown)
  const products = [...new Set(orders.flatMap(order => order.lines.map(line => line.product)))].slice(0, 24) // as many as the catalogue shows at once
  return { count: all.length, spent: all.reduce((sum, order) => sum + order.total, 0), products, orders }
})

app.get('/orders/:id', async request => {
  const order = journal.get(request.params.id)
  if (order?.customer !== who(request) && who(request) !== 'worker') throw refusal(404, 'There is no such order of yours.')
  if (!order) throw refusal(404, 'There is no such order.')
  return shown(order)
})

app.post('/orders', {
  schema: {
    headers: { type: 'object', properties: { 'idempotency-key': { type: 'string', minLength: 8, maxLength: 100 } } },
    body: {
      type: 'object',
      required: ['lines'],
      additionalProperties: false,
      properties: {
        lines: {
          type: 'array',
          minItems: 1,
          maxItems: 50,
          items: {
            type: 'object',
            required: ['product', 'quantity'],
            additionalProperties: false,
            properties: { product: { type: 'string', pattern: '^[a-z0-9]+(-[a-z0-9]+)*$', maxLength: 64 }, quantity: { type: 'integer', minimum: 1, maximum: 100 } },
          },
        },
      },
    },
  },
}, async (request, reply) => {
  const customer = who(request)
  const id = name(customer, request.headers['idempotency-key'])
  let order = journal.get(id)
  if (!order) {
    const quantities = new Map()
    for (const { product, quantity } of request.body.lines) quantities.set(product, (quantities.get(product) ?? 0) + quantity)
    const products = await reserve(id, request.body.lines)
    const lines = products.map(({ id: product, name, price }) => ({ product, name, price, quantity: quantities.get(product) }))
    const total = lines.reduce((sum, line) => sum + line.price * line.quantity, 0)
    order = journal.append({ id, customer, at: new Date().toISOString(), lines, total })
  }
  return reply.code(201).header('Location', `/orders/${id}`).send(shown(order))
})

// name is that of an order: nobody can guess it, and it is the same one for the same key.
function name(customer, key) {
  const bytes = key ? createHash('sha256').update(`${process.env.SHOP_SECRET}\n${customer}\n${key}`).digest() : randomBytes(32)
  return BigInt(`0x${bytes.toString('hex')}`).toString(36).padStart(26, '0').slice(-26)
}

// shown is an order as this release tells of it; the next one says when it will be there.
function shown(order) {
  const tins = order.lines.reduce((sum, line) => sum + line.quantity, 0)
  return release === '1' ? order : { ...order, tins, arrives: new Date(Date.parse(order.at) + (tins > 10 ? 4 : 2) * 86_400_000).toISOString().slice(0, 10) }
}

function who(request) {
  const customer = request.headers['x-customer']
  if (!customer) throw refusal(401, 'Nobody said who asks.')
  return customer
}

const refusal = (statusCode, message) => Object.assign(new Error(message), { statusCode })

process.on('SIGTERM', async () => {
  await app.close()
  journal.close()
})
await app.listen({ path: socket })
