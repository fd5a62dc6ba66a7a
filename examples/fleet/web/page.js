// The page of the fleet: a canvas that is drawn in every frame, and panels that are written once a second.
import { Base } from './base.js'
import { Fleet } from './fleet.js'
import { Stats } from './stats.js'
import { Track } from './track.js'
import { View, project } from './view.js'

const $ = id => document.getElementById(id)
const canvas = $('map')
const base = new Base()
const stats = new Stats()
let selected, track, hovered, baseOld = true, ratio = 1

const client = new Centrifuge(new URL('live/websocket', location.href).href.replace(/^http/, 'ws'), {
  minReconnectDelay: 200, maxReconnectDelay: 3000, maxServerPingDelay: 4000, name: 'fleet',
})
const fleet = new Fleet(client, (delay, positions) => stats.received(delay, positions))
const view = new View(() => {
  baseOld = true
  clearTimeout(view.timer)
  view.timer = setTimeout(() => fleet.look(view.tiles()), 150) // not while it moves
})

// colour reads a custom property once for each colour scheme.
let colours = new Map()
const probe = document.createElement('canvas').getContext('2d')
function colour(name) {
  let known = colours.get(name)
  if (!known) {
    const element = document.body.appendChild(document.createElement('i'))
    element.style.color = `var(${name})`
    probe.fillStyle = getComputedStyle(element).color
    known = probe.fillStyle
    element.remove()
    colours.set(name, known)
  }
  return known
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { colours = new Map(); baseOld = true })

// --- drawing

// Altitudes in feet become hues from orange over green and blue to violet, in steps so that all of a step are drawn at once.
const STEPS = 12
const hue = step => [28, 60, 90, 120, 140, 152, 170, 190, 205, 214, 245, 276][step]
const step = altitude => Math.min(STEPS - 1, Math.floor((Math.max(0, altitude) / 41_000) ** 2 * STEPS)) // most fly high
const paint = (at, dark) => `hsl(${hue(at)} 65% ${dark ? 62 : 45}%)`

const plane = new Path2D('M0-7 1.2-3.5 1.2-1.2 7 2.2 7 3.8 1.2 2 .9 5 2.8 6.4 2.8 7.4 0 6.6-2.8 7.4-2.8 6.4-.9 5-1.2 2-7 3.8-7 2.2-1.2-1.2-1.2-3.5Z')

function draw() {
  requestAnimationFrame(draw)
  stats.frame()
  fleet.place(client.state === 'connected')
  if (baseOld) {
    base.draw(view, ratio, colour)
    baseOld = false
  }
  const to = canvas.getContext('2d')
  to.setTransform(1, 0, 0, 1, 0, 0)
  to.drawImage(base.canvas, 0, 0)
  to.setTransform(ratio, 0, 0, ratio, 0, 0)
  const dark = matchMedia('(prefers-color-scheme: dark)').matches
  drawTails(to, dark)
  drawTrack(to, dark)
  const size = Math.max(0.8, Math.min(1.7, view.scale / 260))
  let names = 0
  for (const one of fleet.aircraft.values()) {
    const [x, y] = view.pixel(one.x, one.y)
    one.px = x
    one.py = y
    if (x < -20 || y < -20 || x > view.width + 20 || y > view.height + 20) continue
    names++
    const angle = one.heading * Math.PI / 180
    const s = one.id === selected || one === hovered ? size * 1.5 : size
    to.setTransform(ratio * s * Math.cos(angle), ratio * s * Math.sin(angle), -ratio * s * Math.sin(angle), ratio * s * Math.cos(angle), ratio * x, ratio * y)
    to.fillStyle = one.stale ? colour('--stale') : one.id === selected ? colour('--accent') : paint(step(one.altitude), dark)
    to.fill(plane)
  }
  to.setTransform(ratio, 0, 0, ratio, 0, 0)
  to.font = '11px system-ui, "Liberation Sans", sans-serif'
  to.textBaseline = 'middle'
  for (const one of fleet.aircraft.values()) {
    if (one !== hovered && one.id !== selected && (names > 90 || one.px < 0 || one.px > view.width)) continue
    to.lineWidth = 3
    to.strokeStyle = colour('--home')
    to.strokeText(one.callsign, one.px + 11, one.py)
    to.fillStyle = colour(one === hovered || one.id === selected ? '--ink' : '--place')
    to.fillText(one.callsign, one.px + 11, one.py)
  }
}

function drawTails(to, dark) {
  const paths = Array.from({ length: STEPS }, () => new Path2D())
  for (const { tail, altitude, x, y } of fleet.aircraft.values()) {
    const path = paths[step(altitude)]
    for (let at = 0; at < tail.length; at += 2) path[at ? 'lineTo' : 'moveTo'](...view.pixel(tail[at], tail[at + 1]))
    if (tail.length > 2) path.lineTo(...view.pixel(x, y))
  }
  to.lineWidth = 1
  to.globalAlpha = 0.4
  paths.forEach((path, at) => {
    to.strokeStyle = paint(at, dark)
    to.stroke(path)
  })
  to.globalAlpha = 1
}

function drawTrack(to, dark) {
  if (!track || track.points.length < 1) return
  const one = fleet.aircraft.get(selected)
  const pixels = track.points.map(({ at }) => view.pixel(...project(...at)))
  if (one) pixels.push(view.pixel(one.x, one.y))
  to.lineCap = to.lineJoin = 'round'
  to.lineWidth = 3
  for (let at = 1; at < pixels.length; at++) {
    to.strokeStyle = paint(step(track.points[at - 1].altitude), dark)
    to.beginPath()
    to.moveTo(...pixels[at - 1])
    to.lineTo(...pixels[at])
    to.stroke()
  }
}

// --- panels

const metres = feet => `${Math.round(feet * 0.3048 / 10) * 10} m`.replace(/(\d)(\d{3}) /, '$1,$2 ')

function panels() {
  const { positions, messages, frames, p50, p99 } = stats.second()
  const seen = [...fleet.aircraft.values()].filter(one => !one.stale)
  $('aircraft').textContent = seen.length
  $('positions').textContent = positions
  $('messages').textContent = messages
  $('frames').textContent = frames
  $('delay').textContent = p50 === undefined ? '–' : `${Math.round(p50)} · ${Math.round(p99)} ms`
  stats.draw($('spark'), ratio, colour)
  if (document.activeElement !== $('callsign')) {
    $('callsigns').replaceChildren(...[...new Set(seen.map(one => one.callsign))].sort().map(callsign => Object.assign(document.createElement('option'), { value: callsign })))
  }
  detail()
}

function detail() {
  const one = fleet.aircraft.get(selected)
  if (!one) return
  $('d-altitude').textContent = metres(one.altitude)
  $('d-speed').textContent = `${Math.round(one.speed * 1.852)} km/h`
  $('d-heading').textContent = `${String(Math.round(one.heading) % 360).padStart(3, '0')}° ${['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'][Math.round(one.heading / 45) % 8]}`
  $('d-climb').textContent = Math.abs(one.climb) < 100 ? 'level' : `${one.climb > 0 ? '↑' : '↓'} ${Math.abs(one.climb * 0.00508).toFixed(1)} m/s`
}

function tracked() {
  const { points, offsets, recovered } = track
  $('track').dataset.offsets = offsets.join(' ')
  $('track').dataset.seconds = points.map(({ after }) => after).join(' ')
  $('track').dataset.recovered = recovered
  $('track').dataset.subscribed = track.subscribed
  $('track').textContent = `${points.length} position${points.length === 1 ? '' : 's'} of its track${recovered ? `, ${recovered} caught up after the connection was lost` : ''}`
  profile()
}

function profile() {
  const chart = $('profile')
  const { clientWidth: width, clientHeight: height } = chart
  if (!width) return
  chart.width = width * ratio
  chart.height = height * ratio
  const to = chart.getContext('2d')
  to.scale(ratio, ratio)
  const { points } = track
  const top = Math.max(10_000, ...points.map(one => one.altitude)) * 1.1
  to.beginPath()
  points.forEach(({ altitude }, at) => to.lineTo(points.length > 1 ? at / (points.length - 1) * width : 0, height - 1 - altitude / top * (height - 2)))
  to.strokeStyle = colour('--accent')
  to.lineWidth = 1.5
  to.stroke()
  to.lineTo(width, height)
  to.lineTo(0, height)
  to.fillStyle = colour('--accent')
  to.globalAlpha = 0.15
  to.fill()
}

function select(id) {
  track?.close()
  track = undefined
  selected = id
  const one = fleet.aircraft.get(id)
  $('detail').hidden = !one
  if (!one) return
  $('detail-title').replaceChildren(one.callsign, Object.assign(document.createElement('small'), { textContent: id.split('-')[0] }))
  $('track').textContent = 'Reading its track …'
  detail()
  track = new Track(client, id, tracked)
}

// --- the connection

client.on('state', ({ newState }) => {
  $('state').dataset.state = newState
  $('state').textContent = { connected: 'Live', connecting: 'Reconnecting', disconnected: 'Disconnected' }[newState]
})
client.on('error', ({ error }) => console.warn(error.message))

// --- the hand

const near = (x, y) => {
  let best, least = 18 ** 2
  for (const one of fleet.aircraft.values()) {
    const distance = (one.px - x) ** 2 + (one.py - y) ** 2
    if (distance < least) { best = one; least = distance }
  }
  return best
}
const fingers = new Map()
let travelled = 0
canvas.addEventListener('pointerdown', event => {
  canvas.setPointerCapture(event.pointerId)
  fingers.set(event.pointerId, [event.clientX, event.clientY])
  travelled = fingers.size > 1 ? Infinity : 0
})
canvas.addEventListener('pointermove', event => {
  const { clientX: x, clientY: y, pointerId } = event
  if (!fingers.has(pointerId)) {
    hovered = near(x, y)
    canvas.classList.toggle('over', Boolean(hovered))
    return
  }
  const before = [...fingers.values()]
  const [px, py] = fingers.get(pointerId)
  travelled += Math.hypot(x - px, y - py)
  fingers.set(pointerId, [x, y])
  if (travelled < 4) return
  canvas.classList.add('drag')
  if (fingers.size === 2) {
    const apart = ([[ax, ay], [bx, by]]) => Math.hypot(ax - bx, ay - by)
    const after = [...fingers.values()]
    view.zoom(apart(after) / apart(before), (after[0][0] + after[1][0]) / 2, (after[0][1] + after[1][1]) / 2)
  }
  view.move((x - px) / fingers.size, (y - py) / fingers.size)
})
for (const type of ['pointerup', 'pointercancel']) canvas.addEventListener(type, event => {
  fingers.delete(event.pointerId)
  canvas.classList.remove('drag')
  if (type === 'pointerup' && travelled < 4) select(near(event.clientX, event.clientY)?.id)
})
canvas.addEventListener('pointerleave', () => { hovered = undefined })
canvas.addEventListener('wheel', event => { event.preventDefault(); view.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), event.clientX, event.clientY) }, { passive: false })
canvas.addEventListener('keydown', event => {
  const moves = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] }
  if (moves[event.key]) view.move(...moves[event.key])
  else if (event.key === '+' || event.key === '=') view.zoom(1.4)
  else if (event.key === '-') view.zoom(1 / 1.4)
  else return
  event.preventDefault()
})
$('closer').onclick = () => view.zoom(1.5)
$('farther').onclick = () => view.zoom(1 / 1.5)
$('whole').onclick = () => view.home()
$('close').onclick = () => select()
addEventListener('keydown', event => event.key === 'Escape' && select())

const find = () => {
  const wanted = $('callsign').value.trim().toUpperCase()
  const found = [...fleet.aircraft.values()].find(one => one.callsign === wanted)
  if (!found) return
  select(found.id)
  $('callsign').value = ''
  $('callsign').blur()
}
$('callsign').addEventListener('input', event => event.inputType === 'insertReplacementText' && find())
$('callsign').addEventListener('change', find)
$('find').addEventListener('submit', event => { event.preventDefault(); find() })

// --- starting

function resize() {
  ratio = Math.min(2, devicePixelRatio)
  canvas.width = innerWidth * ratio
  canvas.height = innerHeight * ratio
  view.resize(innerWidth, innerHeight)
}
addEventListener('resize', resize)
resize()
await base.load()
baseOld = true
client.connect()
draw()
setInterval(panels, 1000)
globalThis.fleet = fleet // for the console, and the test
// The replay is a job; if it runs already this is the same one.
fetch('replay', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ recording: 'switzerland-2018-08-01' }) })
  .catch(error => console.warn(error.message))
