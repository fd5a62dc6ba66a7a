// The other service, which is asked through the gateway, with a token of this service.
import { createHmac } from 'node:crypto'

const shop = process.env.SHOP_URL ?? 'http://127.0.0.1:8080'

// reserve takes the tins of an order, or says why not. It may be said again.
export async function reserve(order, lines) {
  const answer = await fetch(`${shop}/catalogue/reservations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token()}` },
    body: JSON.stringify({ order, lines }),
    signal: AbortSignal.timeout(5000),
  })
  const said = await answer.json()
  if (answer.ok) return said.lines
  throw Object.assign(new Error(said.title ?? said.detail), { statusCode: answer.status < 500 ? answer.status : 502 })
}

function token() {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'orders', aud: 'shop', scope: 'stock:write', exp: Math.floor(Date.now() / 1000) + 60 })}`
  return `${body}.${createHmac('sha256', process.env.SHOP_SECRET).update(body).digest('base64url')}`
}
