// What a person said and the server has not confirmed yet. One message is sent at a time, so that they stay in order; one whose answer was lost
// with the connection is sent again only if the room's history does not have it after the reconnect.
import { element } from './message.js'

const TOO_MANY = 111 // more publications in a second than the room takes

export class Outbox {
  items = []
  sending = false

  constructor(room, changed) {
    Object.assign(this, { room, changed })
  }

  add(text) {
    this.items.push({ id: crypto.randomUUID?.() ?? String(Date.now() + Math.random()).replace('.', '-'), text })
    this.changed()
    this.send()
  }

  drop(id) {
    this.items = this.items.filter(one => one.id !== id)
    this.changed()
  }

  // arrived takes what came back as a publication.
  arrived(id) {
    if (this.items.some(one => one.id === id)) this.drop(id)
  }

  async send() {
    if (this.sending) return
    this.sending = true
    try {
      for (let one; !this.closed && (one = this.items.find(one => !one.refused));) {
        await this.room.sub.ready()
        await null // what was recovered comes before this goes on
        if (!this.items.includes(one)) continue
        await this.publish(one)
      }
    } catch { /* unsubscribed: the next subscribe sends again */ }
    this.sending = false
  }

  async publish(one) {
    try {
      await this.room.sub.publish({ id: one.id, text: one.text })
      this.arrived(one.id)
    } catch (error) {
      if (error.code === TOO_MANY || error.code === 1 || error.temporary) await new Promise(done => setTimeout(done, 1000))
      else if (error.code >= 100) {
        one.refused = error.message
        this.changed()
      } // else the connection was lost, and ready() waits for the next
    }
  }

  close() {
    this.closed = true
    this.items = []
  }

  elements(edit) {
    return this.items.map(({ id, text, refused }) => element('li', { class: `message ${refused ? 'refused' : 'waits'}`, 'data-id': id },
      element('span', { class: 'text' }, text),
      element('span', { class: 'foot' }, refused ?? 'waits to be sent', ...(refused ? [
        element('button', { type: 'button', onclick: () => edit(text, id) }, 'Edit'),
        element('button', { type: 'button', onclick: () => this.drop(id) }, 'Discard')] : []))))
  }
}
