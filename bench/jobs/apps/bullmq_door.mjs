// The HTTP door in front of BullMQ: node:http without a framework, the least a user of it could write.
import { createServer } from 'node:http'
import { Queue, QueueEvents } from 'bullmq'

const [host, port] = process.env.BENCH_REDIS.split(':')
const connection = { host, port: Number(port), maxRetriesPerRequest: null }
const queue = new Queue('bench', { connection })
const events = new QueueEvents('bench', { connection })
events.setMaxListeners(0)
await events.waitUntilReady()

async function bulk(first, count) {
  const batches = []
  for (let at = first; at < first + count; at += 100) {
    const size = Math.min(100, first + count - at)
    batches.push(Array.from({ length: size }, (_, i) => ({ name: 'noop', data: { index: at + i } })))
  }
  const send = async () => {
    for (let batch; (batch = batches.shift()); ) await queue.addBulk(batch)
  }
  await Promise.all(Array.from({ length: 8 }, send))
}

async function respond(path, query) {
  const number = (name) => Number(query.get(name))
  const [, verb, name] = path.split('/')
  switch (verb) {
    case 'jobs':
      await queue.add(name, { index: number('index') })
      return [202, '{}']
    case 'bulk':
      await bulk(number('first'), number('count'))
      return [202, '{}']
    case 'call': {
      const job = await queue.add('answer', { index: number('index') })
      return [200, String(await job.waitUntilFinished(events, 30_000))]
    }
    case 'static':
      return [200, 'x'.repeat(1024)]
    default:
      return [404, '']
  }
}

createServer(async (request, response) => {
  request.resume()
  const { pathname, searchParams } = new URL(request.url, 'http://door')
  let status, body
  try {
    ;[status, body] = await respond(pathname, searchParams)
  } catch (error) {
    ;[status, body] = [500, String(error)]
  }
  response.writeHead(status, { 'content-length': Buffer.byteLength(body) })
  response.end(body)
}).listen(Number(process.env.BENCH_PORT), '127.0.0.1')
