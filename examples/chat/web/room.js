// A room that this page has joined: what was said, who is there, who types, and what is still to be sent.
import { Outbox } from './outbox.js'
import { element, face, messageElement } from './message.js'

const PAGE = 40 // messages of the history at a time

export class Room {
  unread = 0
  shown = false
  messages = [] // in the order of their offsets
  ids = new Set() // of messages that are known, so that none is shown or sent twice
  people = new Map() // connections, by their id
  typists = new Map() // timers, by name
  first = 0 // offset of the oldest message known
  epoch = ''
  whole = false // the oldest message known is the oldest there is
  lostAt = 0

  constructor(client, name, { me, changed, $ }) {
    Object.assign(this, { client, name, me, changed, $, channel: `chat:${name}` })
    this.list = element('ol')
    this.outbox = new Outbox(this, () => this.shown && this.drawPending())
    this.sub = client.newSubscription(this.channel, { joinLeave: true, getState: () => this.latest() })
    this.sub.on('publication', one => this.hear(one))
    this.sub.on('subscribed', context => this.subscribed(context))
    this.sub.on('join', ({ info }) => this.meet(info))
    this.sub.on('leave', ({ info }) => this.part(info.client))
    this.sub.on('error', ({ error }) => console.warn(this.channel, error.message))
    this.typing = client.newSubscription(`typing:${name}`)
    this.typing.on('publication', ({ info }) => this.sees(info))
    this.sub.subscribe()
    this.typing.subscribe()
  }

  close() {
    for (const timer of this.typists.values()) clearTimeout(timer)
    this.outbox.close()
    this.hide()
    this.list.remove()
  }

  // --- what was said

  // latest reads the newest messages and the position behind them, from which the subscription goes on without a gap. The client asks for it
  // before it subscribes, and again only if the server no longer has all that was missed.
  async latest() {
    const { publications, offset, epoch } = await this.client.history(this.channel, { limit: PAGE, reverse: true })
    const again = this.messages.length > 0
    this.messages = []
    this.ids.clear()
    this.list.replaceChildren()
    this.epoch = epoch
    this.add(publications.reverse(), offset)
    if (again) this.note('Some messages were missed while the connection was lost; scroll up to read them.', true)
    return { offset, epoch }
  }

  // older reads the page before the oldest message known.
  async older() {
    if (this.whole || this.loading || !this.messages.length) return
    this.loading = true
    this.drawOlder()
    try {
      const { publications } = await this.client.history(this.channel, { limit: PAGE, reverse: true, since: { offset: this.first, epoch: this.epoch } })
      this.add(publications.reverse(), this.first - 1)
    } catch (error) {
      console.warn(error.message) // scrolling asks again
    }
    this.loading = false
    this.drawOlder()
  }

  // add puts a page of the history in front of what is known.
  add(publications, before) {
    this.first = publications.length ? publications[0].offset : before + 1
    this.whole = publications.length < PAGE
    const log = this.$('log')
    const fromBottom = log.scrollHeight - log.scrollTop
    const news = publications.map(message).filter(one => this.learn(one))
    const next = this.messages[0]
    this.messages.unshift(...news)
    this.list.prepend(...news.flatMap((one, at) => messageElement(one, news[at - 1])))
    if (next && news.length) this.join(news.at(-1), next)
    if (this.shown) {
      log.scrollTop = log.scrollHeight - fromBottom // what is read stays where it is
      this.drawOlder()
    }
  }

  // join draws the first message of the former list again, now that it has one before it.
  join(before, next) {
    const old = this.list.querySelector(`[data-offset="${next.offset}"]`)
    if (old.previousElementSibling?.classList.contains('day')) old.previousElementSibling.remove()
    old.replaceWith(...messageElement(next, before))
  }

  learn(one) {
    if (this.ids.has(one.id)) return false
    this.ids.add(one.id)
    return true
  }

  hear(publication) {
    const one = message(publication)
    this.quiet(one.name)
    this.outbox.arrived(one.id)
    if (!this.learn(one)) return
    this.recovering?.push(one)
    const atBottom = this.atBottom()
    this.list.append(...messageElement(one, this.messages.at(-1)))
    this.messages.push(one)
    if (this.messages.length === 1) this.drawOlder()
    if (one.user !== this.me() && (!this.shown || document.hidden)) {
      this.unread++
      this.changed()
    }
    if (!this.shown) return
    if (atBottom || one.user === this.me()) this.bottom()
    else this.$('newest').hidden = false
  }

  // --- the connection

  connection(state) {
    if (state !== 'connected') this.lostAt ||= Date.now()
  }

  // subscribed comes before the publications that were missed, which follow in the same turn.
  subscribed({ wasRecovering, recovered }) {
    const lostAt = this.lostAt
    this.lostAt = 0
    if (lostAt && this.met && wasRecovering && recovered) {
      this.recovering = []
      const line = this.note('')
      queueMicrotask(() => {
        const count = this.recovering.length
        this.recovering = undefined
        line.textContent = `Connection was lost for ${duration(Date.now() - lostAt)}. ${count ? `${count} message${count > 1 ? 's' : ''} caught up.` : 'Nothing was missed.'}`
        line.dataset.recovered = count
        this.outbox.send()
      })
    } else {
      queueMicrotask(() => this.outbox.send())
    }
    this.met = true
    this.sub.presence().then(({ clients }) => {
      this.people = new Map(Object.entries(clients))
      this.drawPeople()
    }, error => console.warn(error.message)) // the next subscribe asks again
    if (this.shown) this.drawOlder()
  }

  note(text, lost = false) {
    const line = element('li', { class: lost ? 'back lost' : 'back' }, text)
    const atBottom = this.atBottom()
    this.list.append(line)
    if (atBottom) this.bottom()
    return line
  }

  // --- who is there

  meet(info) {
    this.people.set(info.client, info)
    this.drawPeople()
  }

  part(client) {
    this.people.delete(client)
    this.drawPeople()
  }

  drawPeople() {
    if (!this.shown) return
    const users = new Map()
    for (const { user, connInfo } of this.people.values()) users.set(user, connInfo?.name ?? '?')
    const sorted = [...users].sort(([, a], [, b]) => a.localeCompare(b))
    this.$('count').textContent = users.size || ''
    this.$('people').replaceChildren(...sorted.map(([user, name]) =>
      element('li', { 'data-user': user }, face(user, name), element('span', {}, name), ...(user === this.me() ? [element('small', {}, 'you')] : []))))
  }

  // --- who types

  types() {
    if (Date.now() - (this.typedAt ?? 0) < 2500) return
    this.typedAt = Date.now()
    this.typing.publish({}).catch(() => {}) // whoever does not get it misses nothing
  }

  sees(info) {
    const name = info?.connInfo?.name
    if (!name || info.user === this.me()) return
    clearTimeout(this.typists.get(name))
    this.typists.set(name, setTimeout(() => this.quiet(name), 4000))
    this.drawTyping()
  }

  quiet(name) {
    clearTimeout(this.typists.get(name))
    if (this.typists.delete(name)) this.drawTyping()
  }

  drawTyping() {
    if (!this.shown) return
    const names = [...this.typists.keys()]
    this.$('typing').textContent = names.length > 3 ? 'Several people are typing'
      : names.length ? `${new Intl.ListFormat('en').format(names)} ${names.length > 1 ? 'are' : 'is'} typing` : ''
  }

  // --- writing

  say(text) {
    this.typedAt = 0
    this.outbox.add(text)
    this.bottom()
  }

  // --- showing

  seen() {
    this.unread = 0
    this.changed()
  }

  show() {
    this.shown = true
    this.unread = 0
    this.$('messages').replaceWith(this.list)
    this.list.id = 'messages'
    this.drawPending()
    this.drawPeople()
    this.drawTyping()
    this.drawOlder()
    this.bottom()
  }

  hide() {
    this.shown = false
    const empty = element('ol', { id: 'messages' })
    this.list.removeAttribute('id')
    this.list.replaceWith(empty)
    this.$('pending').replaceChildren()
    this.$('people').replaceChildren()
    this.$('typing').textContent = ''
    this.$('newest').hidden = true
  }

  drawPending() {
    this.$('pending').replaceChildren(...this.outbox.elements((text, id) => {
      this.outbox.drop(id)
      this.$('text').value = text
      this.$('text').focus()
    }))
  }

  drawOlder() {
    if (!this.shown) return
    this.$('older').textContent = this.loading ? 'Reading what was said before …' : this.whole && this.messages.length ? `This is the beginning of #${this.name}.` : ''
    // a page that does not fill the log cannot be scrolled
    if (!this.loading && !this.whole && this.messages.length && this.$('log').scrollHeight <= this.$('log').clientHeight) this.older()
  }

  atBottom() {
    const log = this.$('log')
    return log.scrollHeight - log.scrollTop - log.clientHeight < 60
  }

  bottom() {
    if (!this.shown) return
    this.$('log').scrollTop = this.$('log').scrollHeight
    this.$('newest').hidden = true
  }

  scrolled() {
    if (this.$('log').scrollTop < 150) this.older()
    if (this.atBottom()) this.$('newest').hidden = true
  }
}

const message = ({ data, info, offset }) => ({ id: data.id, text: data.text, at: data.at, offset, user: info?.user ?? '', name: info?.connInfo?.name ?? '?' })

const duration = ms => ms < 90_000 ? `${Math.max(1, Math.round(ms / 1000))} s` : `${Math.round(ms / 60_000)} min`
