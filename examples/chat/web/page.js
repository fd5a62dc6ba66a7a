// The page of the chat. A room is two channels: chat:NAME with a history, which a client that was away catches up with, and typing:NAME without.
import { Room } from './room.js'

const $ = id => document.getElementById(id)
const rooms = new Map()
let client, me, room
let connectedOnce = false

// --- who I am

// The key says who this browser is; the name may change.
const key = localStorage.chatKey ??= Array.from(crypto.getRandomValues(new Uint8Array(24)), byte => byte.toString(16).padStart(2, '0')).join('')

async function askToken(name) {
  const answer = await fetch('token', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name, key }) })
  if (!answer.ok) throw new Error(`token: ${answer.status}`) // the client tries again
  return answer.json()
}

$('enter').addEventListener('submit', async event => {
  event.preventDefault()
  const answer = await askToken($('name').value).catch(() => ({ refused: 'The server cannot be reached. Try again in a moment.' }))
  $('refused').textContent = answer.refused ?? ''
  $('refused').hidden = !answer.refused
  if (answer.refused) return
  localStorage.chatName = answer.name
  enter(answer.name)
})

$('rename').addEventListener('click', () => {
  client.disconnect()
  welcome()
})

function welcome() {
  for (const one of rooms.values()) one.close()
  rooms.clear()
  client = room = undefined
  connectedOnce = false
  $('chat').hidden = true
  $('welcome').hidden = false
  $('name').value = localStorage.chatName ?? ''
  $('name').focus()
}

// --- the connection

function enter(name) {
  $('welcome').hidden = true
  $('chat').hidden = false
  $('me').textContent = name
  client = new Centrifuge(new URL('live/websocket', location.href).href.replace(/^http/, 'ws'), {
    minReconnectDelay: 200, maxReconnectDelay: 3000, timeout: 10_000, maxServerPingDelay: 3000, name: 'chat',
    getToken: async () => {
      const answer = await askToken(name)
      if (answer.refused) throw new Centrifuge.UnauthorizedError(answer.refused)
      me = answer.user
      return answer.token
    },
  })
  client.on('state', ({ newState }) => tell(newState))
  client.on('error', ({ error }) => console.warn(error.message))
  client.on('disconnected', ({ reason }) => { $('state').title = reason })
  tell('connecting')
  client.connect()
  list()
  go()
}

function tell(state) {
  if (state === 'connected') connectedOnce = true
  $('state').dataset.state = state
  $('state').textContent = { connected: 'Connected', connecting: connectedOnce ? 'Connection lost, reconnecting' : 'Connecting', disconnected: 'Disconnected' }[state]
  for (const one of rooms.values()) one.connection(state)
}

// --- rooms

const plain = name => name.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 24)
const known = new Set(['lobby', 'mountains', 'kitchen', ...JSON.parse(localStorage.chatRooms ?? '[]')])

function go() {
  const name = plain(location.hash.slice(1)) || 'lobby'
  if (!client || room?.name === name) return
  if (!known.has(name)) {
    known.add(name)
    localStorage.chatRooms = JSON.stringify([...known])
  }
  room?.hide()
  if (!rooms.has(name)) rooms.set(name, new Room(client, name, { me: () => me, changed: list, $ }))
  room = rooms.get(name)
  $('title').textContent = name
  room.show()
  list()
  menu(false)
}

function list() {
  const all = [...rooms.values()].reduce((sum, one) => sum + one.unread, 0)
  document.title = `${all ? `(${all}) ` : ''}${room?.name ?? ''} · Chat`
  $('rooms').replaceChildren(...[...known].map(name => {
    const item = document.createElement('li')
    const button = item.appendChild(document.createElement('button'))
    button.textContent = name
    button.onclick = () => { location.hash = name; menu(false) }
    if (name === room?.name) button.setAttribute('aria-current', 'page')
    const unread = rooms.get(name)?.unread
    if (unread) button.append(Object.assign(document.createElement('span'), { className: 'unread', textContent: unread, ariaLabel: `${unread} unread` }))
    return item
  }))
}

$('open').addEventListener('submit', event => {
  event.preventDefault()
  const name = plain($('room-name').value)
  $('room-name').value = ''
  if (name) location.hash = name
})
addEventListener('hashchange', go)
document.addEventListener('visibilitychange', () => document.hidden || room?.seen())

// --- writing

$('composer').addEventListener('submit', event => {
  event.preventDefault()
  const text = $('text').value.trim()
  if (!text || !room) return
  $('text').value = ''
  room.say(text)
  $('text').focus()
})
$('text').addEventListener('keydown', event => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  $('composer').requestSubmit()
})
$('text').addEventListener('input', () => $('text').value && room?.types())
$('log').addEventListener('scroll', () => room?.scrolled())
$('newest').addEventListener('click', () => room?.bottom())

const menu = open => {
  $('chat').classList.toggle('menu', open)
  $('menu').setAttribute('aria-expanded', open)
}
$('menu').addEventListener('click', event => { event.stopPropagation(); menu(!$('chat').classList.contains('menu')) })
document.querySelector('.room').addEventListener('click', () => menu(false))
document.addEventListener('keydown', event => event.key === 'Escape' && menu(false))

localStorage.chatName ? enter(localStorage.chatName) : welcome()
