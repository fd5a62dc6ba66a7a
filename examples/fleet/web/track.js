// The track of one aircraft: its channel has a history, which is read first; then it goes on with what is published, and after a lost connection
// with what was missed.

export class Track {
  points = [] // of this flight
  offsets = [] // in the order they came, to see that none is missing or there twice
  recovered = 0
  subscribed = false // the history may be there before

  constructor(client, id, changed) {
    Object.assign(this, { client, id, changed, channel: `track:${id}` })
    this.subscription = client.newSubscription(this.channel, { getState: () => this.read() })
    this.subscription.on('subscribed', ({ wasRecovering, recovered }) => {
      if (!this.subscribed || !wasRecovering || !recovered) {
        this.subscribed = true
        return this.changed()
      }
      const before = this.offsets.length // what was missed comes in the same turn
      queueMicrotask(() => {
        this.recovered += this.offsets.length - before
        this.changed()
      })
    })
    this.subscription.on('publication', publication => this.hear(publication))
    this.subscription.subscribe()
  }

  async read() {
    const { publications, offset, epoch } = await this.client.history(this.channel, { limit: 720 })
    this.points = []
    this.offsets = []
    for (const publication of publications) this.hear(publication)
    return { offset, epoch }
  }

  hear({ data, offset }) {
    if (offset <= this.offsets.at(-1)) return
    this.offsets.push(offset)
    if (this.points.length && this.points[0].begun !== data.begun) this.points = [] // the flight of the hour before
    this.points.push(data)
    this.changed()
  }

  close() {
    this.subscription.unsubscribe()
    this.client.removeSubscription(this.subscription)
  }
}
