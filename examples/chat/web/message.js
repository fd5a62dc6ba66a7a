// How messages look. Text is never read as HTML.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'onclick') made.onclick = value
    else made.setAttribute(key, value)
  }
  made.append(...children)
  return made
}

// A user has a colour, whatever the name.
const hue = user => parseInt(user.slice(0, 6) || '0', 16) % 360

const initials = name => name.split(/\s+/).slice(0, 2).map(word => [...word][0] ?? '').join('').toUpperCase()

export const face = (user, name) => element('span', { class: 'face', style: `--hue: ${hue(user)}`, 'aria-hidden': 'true' }, initials(name))

const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
const date = new Intl.DateTimeFormat('en', { weekday: 'long', day: 'numeric', month: 'long' })

// sameBlock tells that a message stands below another without a head of its own.
const sameBlock = (one, before) => before !== undefined && before.user === one.user && before.name === one.name && one.at - before.at < 300_000

// messageElement makes the elements of a message that stands below another, or below none.
export function messageElement(one, before) {
  const newDay = !before || date.format(before.at) !== date.format(one.at)
  const item = element('li', { class: !newDay && sameBlock(one, before) ? 'message more' : 'message', style: `--hue: ${hue(one.user)}`, 'data-offset': one.offset, 'data-id': one.id },
    face(one.user, one.name),
    element('span', { class: 'head' }, element('b', {}, one.name), element('time', { datetime: new Date(one.at).toISOString() }, clock.format(one.at))),
    element('span', { class: 'text' }, one.text))
  return newDay ? [element('li', { class: 'day' }, date.format(one.at)), item] : [item]
}
