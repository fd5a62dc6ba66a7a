// All orders: a file of JSON lines that every process of the service appends to, and reads what the others have appended.
import { closeSync, fsyncSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

export class Journal {
  #file
  #read = 0 // bytes
  #orders = new Map()

  constructor(path) {
    mkdirSync(dirname(path), { recursive: true })
    this.#file = openSync(path, 'a+')
  }

  // append returns when the order is on the disk. Of two with the same id the first counts.
  append(order) {
    const line = Buffer.from(JSON.stringify(order) + '\n')
    if (writeSync(this.#file, line) !== line.length) throw new Error('the disk is full')
    fsyncSync(this.#file)
    return this.get(order.id)
  }

  get(id) {
    this.#catchUp()
    return this.#orders.get(id)
  }

  // of are the orders of a customer, the newest first.
  of(customer) {
    this.#catchUp()
    return [...this.#orders.values()].filter(order => order.customer === customer).reverse()
  }

  close() {
    closeSync(this.#file)
  }

  #catchUp() {
    const parts = []
    for (let at = this.#read; ;) {
      const part = Buffer.alloc(64 * 1024)
      const count = readSync(this.#file, part, 0, part.length, at)
      if (count === 0) break
      parts.push(part.subarray(0, count))
      at += count
    }
    const fresh = Buffer.concat(parts)
    const end = fresh.lastIndexOf('\n') + 1 // what follows is not whole yet
    this.#read += end
    for (const line of fresh.subarray(0, end).toString().split('\n').filter(Boolean)) {
      const order = parsed(line)
      if (order && !this.#orders.has(order.id)) this.#orders.set(order.id, order)
    }
  }
}

// parsed is undefined for half a line, as a machine leaves it that lost its power.
function parsed(line) {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
