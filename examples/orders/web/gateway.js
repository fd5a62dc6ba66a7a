// Asks the shop, and shows what the gateway in front of it did.
let token = sessionStorage.getItem('token')

export const customer = () => sessionStorage.getItem('customer')

export function known(login) {
  token = login?.token
  for (const key of ['token', 'customer']) login ? sessionStorage.setItem(key, login[key]) : sessionStorage.removeItem(key)
}

// ask returns the JSON of an answer. It throws what a problem says.
export async function ask(path, { method = 'GET', body, headers = {} } = {}) {
  const began = performance.now()
  const answer = await fetch(path, {
    method,
    headers: { ...token && { authorization: `Bearer ${token}` }, ...body && { 'content-type': 'application/json' }, ...headers },
    body: body && JSON.stringify(body),
  })
  note(`${method} ${path}`, answer, performance.now() - began)
  const said = await answer.json()
  if (answer.ok) return said
  throw Object.assign(new Error(said.detail ?? said.title), { status: answer.status })
}

function note(request, answer, took) {
  const value = name => answer.headers.get(name) ?? ''
  const cache = value('cache-status').replace('headrace; ', '').replace(/^hit.*stale.*$|^hit; ttl=-.*/, 'stale').replace(/^hit; ttl=(\d+).*/, 'hit, $1 s left').replace(/^fwd=([\w-]+).*/, '$1')
  const left = value('ratelimit').match(/r=(\d+)/)?.[1] ?? ''
  const row = document.createElement('tr')
  for (const text of [request, answer.status, cache, left, value('x-orders-release'), took.toFixed(0)]) row.insertCell().textContent = text
  row.cells[0].title = request
  row.cells[1].className = answer.ok ? 'good' : 'bad'
  const log = document.getElementById('log')
  log.prepend(row)
  while (log.rows.length > 50) log.deleteRow(-1)
}
