// Where everybody is. Each square degree in sight is a channel that tells once a second who is in it; between two such publications an aircraft
// is on the line between its two positions, so that it moves in every frame.
import { project } from './view.js'

const BEHIND = 1200 // ms that the page shows the past: a second to have two positions, and a little for the network
const COAST = 2500 // ms that an aircraft goes straight on when nothing new comes
const GONE = 6000 // ms without news, while its channel has some, after which an aircraft is no longer shown
const TAIL = 30 // positions behind an aircraft, one of every fifth second

export class Fleet {
  aircraft = new Map() // by id of the flight
  tiles = new Map() // subscriptions, by name
  ahead = Infinity // smallest difference of this clock and the server's that was seen, ms; it contains the fastest way of a message

  constructor(client, received) {
    Object.assign(this, { client, received })
  }

  // look subscribes to these tiles and to no others.
  look(names) {
    for (const [name, subscription] of this.tiles) {
      if (names.includes(name)) continue
      subscription.unsubscribe()
      this.client.removeSubscription(subscription)
      this.tiles.delete(name)
    }
    for (const name of names) {
      if (this.tiles.has(name)) continue
      // since the beginning: the server's cache of one publication comes with the answer, and again after each reconnect
      const subscription = this.client.newSubscription(`fleet:${name}`, { since: { offset: 0, epoch: '' } })
      let cached = false
      subscription.on('subscribed', () => {
        cached = true // what follows in this turn is no news
        queueMicrotask(() => { cached = false })
      })
      subscription.on('publication', ({ data }) => this.hear(data, cached))
      subscription.subscribe()
      this.tiles.set(name, subscription)
    }
  }

  hear({ at, aircraft }, cached) {
    const delay = Date.now() - at
    this.ahead = Math.min(this.ahead, delay)
    if (!cached) this.received(delay, aircraft.length)
    for (const [id, callsign, latitude, longitude, altitude, speed, heading, climb] of aircraft) {
      const [x, y] = project(latitude, longitude)
      const known = this.aircraft.get(id) ?? { id, callsign, states: [], tail: [] }
      const last = known.states.at(-1)
      if (last && at <= last.at) continue
      if (last && at - last.at > 4000) { // from where it is shown it glides to where it is
        known.states = [{ ...last, at: at - 1500, x: known.x ?? last.x, y: known.y ?? last.y }]
      }
      known.states.push({ at, x, y, altitude, speed, heading, climb })
      if (known.states.length > 4) known.states.shift()
      if (!known.tailed || at - known.tailed > 4500) {
        known.tail.push(x, y)
        known.tailed = at
      }
      if (known.tail.length > 2 * TAIL) known.tail.splice(0, 2)
      Object.assign(known, { latitude, longitude, altitude, speed, heading, climb })
      this.aircraft.set(id, known)
    }
  }

  // place moves everybody to where they are at this moment, and forgets who has gone.
  place(connected) {
    const now = Date.now() - (this.ahead === Infinity ? 0 : this.ahead)
    const at = now - BEHIND
    for (const one of this.aircraft.values()) {
      const { states } = one
      const newest = states.at(-1)
      if (connected && now - newest.at > GONE) {
        this.aircraft.delete(one.id)
        continue
      }
      let b = states.findIndex(state => state.at > at)
      if (b < 0) b = states.length - 1
      const a = states[Math.max(0, b - 1)]
      const c = states[b]
      const share = a === c ? 1 : Math.max(0, Math.min(at, c.at + COAST) - a.at) / (c.at - a.at)
      one.x = a.x + (c.x - a.x) * share
      one.y = a.y + (c.y - a.y) * share
      one.stale = at > newest.at + COAST
    }
  }
}
