// A BullMQ worker process that does what work.py does.
import { openSync, writeSync, existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'bullmq'

const [host, port] = process.env.BENCH_REDIS.split(':')
const ledger = openSync(process.env.BENCH_LEDGER, 'a')
const hold = process.env.BENCH_HOLD
const record = Buffer.alloc(24)

function sign(index) {
  record.writeBigUInt64LE(BigInt(index), 0)
  record.writeBigInt64LE(process.hrtime.bigint(), 8)
  record.writeUInt32LE(process.pid, 16)
  writeSync(ledger, record)
}

const functions = {
  noop: ({ index }) => sign(index),
  answer: ({ index }) => index,
  async hold({ index }) {
    sign(index)
    while (existsSync(hold)) await sleep(10)
  },
  burn({ index }) {
    sign(index)
    while (existsSync(hold)) for (let i = 0; i < 1e6; i++);
  },
}

const worker = new Worker('bench', async (job) => functions[job.name](job.data), {
  connection: { host, port: Number(port), maxRetriesPerRequest: null },
  concurrency: Number(process.env.BENCH_CONCURRENCY),
})
worker.on('error', (error) => console.error(error))
await worker.waitUntilReady()
process.on('SIGTERM', () => worker.close().then(() => process.exit(0)))
