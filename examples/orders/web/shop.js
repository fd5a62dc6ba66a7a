// The page of the shop.
import { ask, customer, known } from './gateway.js'

const at = id => document.getElementById(id)
const money = cents => `€ ${(cents / 100).toFixed(2)}`
const basket = new Map() // product by id, with quantity
let search, key

function element(tag, { swatch, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties)
  if (swatch) made.style.background = swatch
  made.append(...children)
  return made
}
const dot = hex => element('span', { className: 'swatch', swatch: hex })

function tell(text, bad = false) {
  at('told').textContent = text
  at('told').className = bad ? 'bad' : 'good'
}

const failed = error => {
  if (error.status === 401) logout()
  tell(error.message, true)
}

// The catalogue

async function look() {
  const query = new URLSearchParams({ limit: 24 })
  if (at('q').value) query.set('q', at('q').value)
  if (at('family').value) query.set('family', at('family').value)
  const found = await ask(`/catalogue/products?${query}`)
  at('total').textContent = `${found.total} paints`
  at('products').replaceChildren(...found.products.map(product => element('li', {},
    element('div', { swatch: product.hex }),
    element('button', { type: 'button', onclick: () => put(product) },
      element('strong', { textContent: product.name }), element('span', { textContent: money(product.price) }), stock(product)))))
}

function stock(product) {
  const made = element('small', { textContent: `${product.stock} in stock` })
  made.dataset.product = product.id
  return made
}

at('search').addEventListener('input', () => {
  clearTimeout(search)
  search = setTimeout(() => look().catch(failed), 200)
})
at('search').addEventListener('submit', event => event.preventDefault())

// The basket

function put(product) {
  const known = basket.get(product.id)
  basket.set(product.id, { ...product, quantity: (known?.quantity ?? 0) + 1 })
  changed()
}

function changed() {
  key = crypto.randomUUID?.() ?? String(Math.random()) // of the order that this basket will be
  tell('')
  at('basket').replaceChildren(...[...basket.values()].map(product => element('li', {},
    dot(product.hex), element('span', { textContent: product.name }),
    element('input', {
      type: 'number', min: 0, max: 100, value: product.quantity, ariaLabel: `Tins of ${product.name}`,
      onchange: event => {
        product.quantity = event.target.valueAsNumber || 0
        if (!product.quantity) basket.delete(product.id)
        changed()
      },
    }))))
  if (!basket.size) at('basket').append(element('li', { className: 'quiet', textContent: 'Nothing yet. Choose a paint.' }))
  const tins = lines().reduce((sum, { quantity }) => sum + quantity, 0)
  Object.assign(at('to-basket'), { hidden: !tins, textContent: `Basket: ${tins} ${tins === 1 ? 'tin' : 'tins'}` })
  at('order').disabled = !basket.size || !customer()
  at('quote').textContent = ''
  if (basket.size && customer()) quote().catch(failed)
}

const lines = () => [...basket.values()].map(({ id, quantity }) => ({ product: id, quantity }))

async function quote() {
  const asked = lines()
  const said = await ask('/quotes', { method: 'POST', body: { lines: asked } })
  if (JSON.stringify(asked) === JSON.stringify(lines())) at('quote').textContent = `${money(said.total)}${said.discount ? `, ${money(said.discount)} saved` : ''}, VAT ${money(said.vat)} included`
}

at('order').addEventListener('click', async () => {
  at('order').disabled = true
  try {
    const headers = { 'idempotency-key': key, ...at('canary').checked && { 'x-canary': '1' } }
    const order = await ask('/orders', { method: 'POST', body: { lines: lines() }, headers })
    basket.clear()
    changed()
    tell(`Ordered: ${money(order.total)}${order.arrives ? `, arrives on ${order.arrives}` : ''}.`)
    await mine()
  } catch (error) {
    failed(error)
    at('order').disabled = !customer()
  }
})

// The customer

async function mine() {
  const said = await ask(`/dashboard/${customer()}`)
  const colours = Object.fromEntries((said.paints ?? []).map(paint => [paint.id, paint.hex]))
  at('standing').textContent = said.standing
    ? `You are a ${said.standing.tier} customer${said.standing.next ? `; ${money(said.standing.next)} to the next tier` : ''}.` : ''
  at('orders').replaceChildren(...said.orders.map(order => element('li', {},
    element('span', { className: 'swatches' }, ...order.lines.slice(0, 5).map(line => dot(colours[line.product] ?? 'none'))),
    element('span', {}, element('strong', { textContent: money(order.total) }), ' ',
      element('small', { textContent: order.lines.map(line => `${line.quantity} × ${line.name}`).join(', ') })),
    element('button', { type: 'button', textContent: 'Invoice', onclick: event => invoice(order.id, event.target).catch(failed) }))))
  at('dashboard').hidden = false
}

// A worker writes the invoice; the button becomes a link when it is there.
async function invoice(order, button) {
  button.disabled = true
  const job = await ask('/invoices', { method: 'POST', body: { order } })
  const events = new EventSource(job.links.events)
  events.addEventListener('state', async event => {
    const { state } = JSON.parse(event.data)
    if (!['succeeded', 'failed', 'dead', 'cancelled', 'expired'].includes(state)) return
    events.close()
    if (state !== 'succeeded') return tell('The invoice could not be written.', true)
    const blob = await ask(job.links.result)
    button.replaceWith(element('a', { href: blob.href, download: blob.name, textContent: 'PDF' }))
  })
}

at('login').addEventListener('submit', async event => {
  event.preventDefault()
  try {
    known(await ask('/login', { method: 'POST', body: { name: at('name').value } }))
    welcome()
    await mine()
  } catch (error) {
    failed(error)
  }
})

function welcome() {
  at('login').hidden = true
  at('customer').hidden = false
  at('customer').firstElementChild.textContent = customer()
  changed()
}

function logout() {
  known(undefined)
  for (const [id, hidden] of [['login', false], ['customer', true], ['dashboard', true]]) at(id).hidden = hidden
  changed()
}
at('logout').addEventListener('click', logout)

// The stock, as it changes

const live = new EventSource('/catalogue/changes')
live.onopen = () => Object.assign(at('live'), { textContent: 'is live' }).dataset.state = 'open'
live.onerror = () => Object.assign(at('live'), { textContent: 'is not live' }).dataset.state = 'connecting'
live.addEventListener('stock', event => {
  const { product, stock } = JSON.parse(event.data)
  for (const one of document.querySelectorAll(`[data-product="${product}"]`)) Object.assign(one, { textContent: `${stock} in stock`, className: 'changed' })
})

look().catch(failed)
changed()
if (customer()) {
  welcome()
  mine().catch(failed)
}
