// The page of the reports example. A job is followed by the link of its 202 answer, which is kept in the address: a reload goes on.

const $ = id => document.getElementById(id)
const kinds = {
  table: { path: 'reports', part: 'table', accept: '.csv,.tsv,.txt,text/csv', text: 'CSV with a header line, up to 2 GB' },
  picture: { path: 'pictures', part: 'picture', accept: 'image/*', text: 'JPEG, PNG, WebP, AVIF, GIF or TIFF' },
  texts: { path: 'keywords', part: 'texts', accept: '.txt,.md,.jsonl,text/plain', text: 'Plain text with empty lines between documents, or JSON lines with title and text' },
}
let samples = []
let stop = () => {} // ends what is under way on this page: an upload or the following of a job

// element('a', {href: '…'}, 'text', child) makes an element; text is never read as HTML.
function element(name, properties = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value)
    else if (value === true) made.setAttribute(key, '')
    else if (value !== undefined && value !== false) made.setAttribute(key, value)
  }
  made.append(...children)
  return made
}

function show(name) {
  for (const id of ['choose', 'work', 'result', 'failure']) $(id).hidden = id !== name
  $(`${name}-title`)?.focus()
}

const size = bytes => bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : bytes >= 1e3 ? `${Math.round(bytes / 1e3)} kB` : `${bytes} B`
const count = number => number.toLocaleString('en')

// --- choosing

const kind = () => document.querySelector('[name=kind]:checked').value

function choose() {
  const one = kinds[kind()]
  $('like-field').hidden = kind() !== 'texts'
  $('file').accept = one.accept
  $('file').value = ''
  $('accepted').textContent = one.text
  $('samples').replaceChildren(...samples.filter(sample => sample.kind === kind()).map(sample => element('li', {},
    element('button', { type: 'button', 'data-sample': sample.name, disabled: sample.size === 0, onclick: () => pick(sample) },
      element('b', {}, sample.title), element('span', {}, sample.about),
      element('small', {}, sample.size ? `${size(sample.size)} · ${sample.licence}` : 'not made yet: run prepare.py')))))
}

const fields = () => kind() === 'texts' && $('like').value.trim() ? { like: $('like').value.trim() } : {}

async function pick(sample) {
  work('Starting')
  try {
    const answer = await fetch(`${kinds[sample.kind].path}/samples/${sample.name}`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(fields()),
    })
    if (!answer.ok) return refuse(await answer.text(), answer.status)
    accepted(await answer.json())
  } catch { fail(unreachable) }
}

function upload(file) {
  const { path, part } = kinds[kind()]
  const form = new FormData()
  for (const [name, value] of Object.entries(fields())) form.append(name, value)
  form.append(part, file, file.name)
  const request = new XMLHttpRequest() // fetch does not tell how much was sent
  request.open('POST', path)
  request.upload.onprogress = event => event.lengthComputable && bar(event.loaded / event.total, `${size(event.loaded)} of ${size(event.total)}`)
  request.onload = () => request.status === 202 ? accepted(JSON.parse(request.responseText)) : refuse(request.responseText, request.status)
  request.onerror = () => fail(unreachable)
  work(`Uploading ${file.name}`)
  stop = () => request.abort()
  $('cancel').onclick = () => { request.abort(); start() }
  request.send(form)
}

// --- following

function work(title) {
  $('work-title').textContent = title
  $('cancel').disabled = false
  $('cancel').onclick = () => start()
  bar(0, '')
  show('work')
}

function bar(share, note) {
  const percent = Math.round(100 * Math.min(1, Math.max(0, share)))
  $('bar').setAttribute('aria-valuenow', percent)
  $('bar').firstElementChild.style.width = `${percent}%`
  $('percent').textContent = `${percent} %`
  $('note').textContent = note
}

function accepted(answer) {
  location.hash = `follow=${answer.follow}`
}

// The links of a job differ in one word only, and all carry the token of the follow link.
const link = (follow, what) => follow.replace('/events?', what ? `/${what}?` : '?')

function follow(events) {
  work('Working')
  const source = new EventSource(events)
  stop = () => source.close()
  source.addEventListener('state', event => {
    const { state, attempt } = JSON.parse(event.data)
    if (state === 'ready' || state === 'scheduled') $('note').textContent = attempt ? 'waiting for the next attempt' : 'waiting for a free worker'
    if (state === 'running') $('work-title').textContent = attempt > 1 ? `Working, attempt ${attempt}` : 'Working'
    if (!['succeeded', 'dead', 'cancelled', 'expired'].includes(state)) return
    source.close()
    finish(events, state).catch(() => fail(unreachable))
  })
  source.addEventListener('progress', event => {
    const { done, total, note } = JSON.parse(event.data)
    bar(done / (total || 1), note ?? '')
  })
  source.onerror = async () => {
    if (source.readyState !== EventSource.CLOSED) return // the browser connects again by itself and goes on after the last event
    const answer = await fetch(events).catch(() => null)
    answer ? refuse(await answer.text(), answer.status) : fail(unreachable)
  }
  $('cancel').onclick = async () => {
    $('cancel').disabled = true
    $('note').textContent = 'cancelling'
    const answer = await fetch(link(events, 'cancel'), { method: 'POST' }).catch(() => null)
    if (answer?.ok === false && answer.status !== 409) refuse(await answer.text(), answer.status)
  }
}

async function finish(events, state) {
  if (state === 'succeeded') {
    const answer = await fetch(link(events, 'result'))
    if (!answer.ok) return refuse(await answer.text(), answer.status)
    let result = await answer.json()
    if (result.$blob) result = await (await fetch(result.href)).json() // a large result is a file itself
    return present(result)
  }
  if (state === 'cancelled') return fail({ title: 'Cancelled', what: 'The work was stopped before its end.', hint: '', code: '' })
  if (state === 'expired') return fail({ title: 'Too late', what: 'The work did not begin in time.', hint: 'try again later', code: '' })
  const job = await (await fetch(link(events, ''))).json()
  const [, type = '', text = job.error ?? ''] = /^(\w+): ([\s\S]*)$/.exec(job.error ?? '') ?? []
  const [what, hint = 'look at the log of the job'] = text.split('\nhint: ')
  fail({ title: 'This did not work', what, hint, code: `${type} · job ${job.id}` })
}

// --- failing

const unreachable = { title: 'No connection', what: 'The server cannot be reached.', hint: 'reload this page to go on where it was', code: '' }

// refuse shows a problem+json answer.
function refuse(body, status) {
  let problem = {}
  try { problem = JSON.parse(body) } catch { /* not from headrace */ }
  fail({
    title: problem.title ?? 'Refused', what: problem.detail ?? `The server answered ${status}.`, hint: problem.hint ?? '',
    code: [problem.code, problem.where].filter(Boolean).join(' · '),
  })
}

function fail({ title, what, hint, code }) {
  $('failure-title').textContent = title.charAt(0).toUpperCase() + title.slice(1)
  $('failure-what').textContent = what
  $('failure-hint').textContent = hint
  $('failure-code').textContent = code
  show('failure')
}

// --- presenting

const facts = entries => element('dl', { class: 'facts' }, ...Object.entries(entries).map(([name, value]) =>
  element('div', {}, element('dt', {}, name), element('dd', {}, value))))

const grid = (head, rows) => element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': head[0] },
  element('table', {}, element('thead', {}, element('tr', {}, ...head.map(text => element('th', { scope: 'col', class: text === 'Most frequent' && 'left' }, text)))),
    element('tbody', {}, ...rows.map(row => element('tr', {}, ...row.map((cell, at) =>
      at ? element('td', { class: head[at] === 'Most frequent' && 'left', 'data-head': head[at] }, cell) : element('th', { scope: 'row' }, cell)))))))

function present(result) {
  const again = element('button', { type: 'button', class: 'again' }, 'Another one')
  const body = result.pdf ? report(result, again) : result.versions ? pictures(result, again) : texts(result, again)
  $('result').replaceChildren(element('h1', { id: 'result-title', tabindex: '-1' }, result.title), ...body)
  show('result')
}

function report(result, again) {
  const numeric = result.columns.filter(column => column.kind !== 'text')
  const written = result.columns.filter(column => column.kind === 'text')
  const parts = [
    facts({ rows: count(result.rows), columns: count(result.columns.length), seconds: result.seconds.toFixed(1),
      ...(result.resumed_at && { 'rows read by an earlier attempt': count(result.resumed_at) }) }),
    element('p', { class: 'actions' }, element('a', { class: 'button main', id: 'pdf', href: result.pdf.href, download: result.pdf.name }, `PDF report, ${size(result.pdf.size)}`), again),
  ]
  if (numeric.length) {
    parts.push(element('h2', {}, 'Numbers and times'), grid(['Column', 'Values', 'Missing', 'Lowest', 'Median', 'Mean', 'Highest', 'Deviation'],
      numeric.map(one => [one.name, count(one.count), count(one.missing), one.low, one.median, one.mean, one.high, one.deviation])))
  }
  if (written.length) {
    parts.push(element('h2', {}, 'Texts'), grid(['Column', 'Values', 'Missing', 'Different', 'Most frequent'],
      written.map(one => [one.name, count(one.count), count(one.missing), one.distinct, one.top.map(([word, times]) => `${word} (${count(times)})`).join(', ')])))
  }
  for (const group of new Set(result.plots.map(plot => plot.group))) {
    parts.push(element('h2', {}, group), element('div', { class: 'plots' }, ...result.plots.filter(plot => plot.group === group).map(plot =>
      element('figure', { class: 'plot' }, element('figcaption', {}, plot.title),
        element('img', { src: plot.image.href, alt: plot.description, width: 720, height: 480 })))))
  }
  return parts
}

function pictures(result, again) {
  const largest = result.versions[0]
  return [
    facts({ 'wide × high': `${result.width} × ${result.height}`, original: size(result.size), files: count(result.versions.length) }),
    element('p', { class: 'actions' }, again),
    element('h2', {}, 'Versions'),
    element('div', { class: 'versions' },
      element('figure', {}, element('img', { src: largest.file.href, alt: result.title, width: largest.width, height: largest.height })),
      grid(['Format', 'Wide × high', 'Size'], result.versions.map(one => [
        element('a', { href: one.file.href, download: one.file.name }, one.format), `${one.width} × ${one.height}`, size(one.file.size)]))),
  ]
}

function texts(result, again) {
  const detail = element('div', { class: 'card', 'aria-live': 'polite' })
  const list = element('ul', { class: 'list' })
  const filter = element('input', { class: 'filter', type: 'search', placeholder: 'Filter by title or keyword', 'aria-label': 'Filter documents',
    oninput: event => fill(event.target.value.trim().toLowerCase()) })
  const scored = new Map(result.matches.map(({ at, score }) => [at, score]))
  const button = (at, text) => element('button', { type: 'button', 'data-at': at, onclick: () => open(at) }, result.documents[at].title, element('span', {}, text))
  const percent = score => `${Math.round(100 * score)} %`

  function open(at) {
    const one = result.documents[at]
    detail.replaceChildren(element('h3', {}, one.title), element('small', {}, `${count(one.words)} words`),
      element('h4', {}, 'Keywords'), element('ul', { class: 'tags' }, ...one.keywords.map(word => element('li', {}, word))),
      element('h4', {}, 'Most similar'), element('ul', { class: 'similar' }, ...one.similar.map(other => element('li', {}, button(other.at, percent(other.score))))))
    for (const other of list.querySelectorAll('button')) other.toggleAttribute('aria-current', Number(other.dataset.at) === at)
  }
  function fill(wanted) {
    const order = result.documents.map((_, at) => at)
    if (scored.size) order.sort((a, b) => (scored.get(b) ?? 0) - (scored.get(a) ?? 0))
    const found = order.filter(at => `${result.documents[at].title} ${result.documents[at].keywords.join(' ')}`.toLowerCase().includes(wanted))
    list.replaceChildren(...found.slice(0, 500).map(at => element('li', {}, button(at, scored.has(at) ? percent(scored.get(at)) : ''))))
    if (found.length) open(found[0])
  }
  fill('')
  return [
    facts({ documents: count(result.documents.length), words: count(result.documents.reduce((sum, one) => sum + one.words, 0)) }),
    element('p', { class: 'actions' }, again),
    element('h2', {}, scored.size ? 'Documents, the best matches first' : 'Documents'),
    element('div', { class: 'documents' }, element('div', {}, filter, list), detail),
  ]
}

// --- starting

function start() {
  stop()
  stop = () => {}
  const found = /^#follow=(\/jobs\/[^/?]+\/events\?.+)$/.exec(location.hash)
  if (found) return follow(found[1])
  if (location.hash) history.replaceState(null, '', location.pathname)
  show('choose')
}

document.addEventListener('click', event => {
  if (!event.target.closest('.again, .brand')) return
  event.preventDefault()
  history.pushState(null, '', location.pathname)
  start()
})
for (const input of document.querySelectorAll('[name=kind]')) input.addEventListener('change', choose)
$('file').addEventListener('change', () => $('file').files[0] && upload($('file').files[0]))
for (const type of ['dragenter', 'dragover']) $('drop').addEventListener(type, event => { event.preventDefault(); $('drop').classList.add('over') })
for (const type of ['dragleave', 'drop']) $('drop').addEventListener(type, event => { event.preventDefault(); $('drop').classList.remove('over') })
$('drop').addEventListener('drop', event => event.dataTransfer.files[0] && upload(event.dataTransfer.files[0]))
addEventListener('hashchange', start)
addEventListener('popstate', () => location.hash || start())

choose()
start()
fetch('samples').then(answer => answer.json()).then(found => { samples = found; choose() }).catch(() => {})
