// How much comes, and how late.

const WINDOW = 10 // seconds of the percentiles
const MINUTE = 60

export class Stats {
  seconds = [] // the last minute, the running second last
  now = fresh()

  received(delay, positions) {
    this.now.messages++
    this.now.positions += positions
    this.now.delays.push(Math.max(0, delay))
  }

  frame() { this.now.frames++ }

  // second ends a second and tells about the last ones.
  second() {
    this.seconds.push(this.now)
    if (this.seconds.length > MINUTE) this.seconds.shift()
    this.now = fresh()
    const last = this.seconds.slice(-3) // the rates are of three seconds, so that they stand still
    const rate = what => Math.round(last.reduce((sum, one) => sum + one[what], 0) / last.length)
    const delays = this.seconds.slice(-WINDOW).flatMap(one => one.delays).sort((a, b) => a - b)
    const percentile = share => delays.length ? delays[Math.min(delays.length - 1, Math.floor(share * delays.length))] : undefined
    return { positions: rate('positions'), messages: rate('messages'), frames: rate('frames'), p50: percentile(0.5), p99: percentile(0.99) }
  }

  // draw shows the worst and the median delay of each second of the last minute.
  draw(canvas, ratio, colour) {
    const { clientWidth: width, clientHeight: height } = canvas
    if (!width) return
    canvas.width = width * ratio
    canvas.height = height * ratio
    const to = canvas.getContext('2d')
    to.scale(ratio, ratio)
    const worst = this.seconds.map(one => Math.max(0, ...one.delays))
    const top = Math.max(40, ...worst)
    const step = width / MINUTE
    this.seconds.forEach((one, at) => {
      const x = width - (this.seconds.length - at) * step
      const bar = (delay, name) => {
        const size = Math.max(1.5, delay / top * (height - 12))
        to.fillStyle = colour(name)
        to.fillRect(x, height - size, step - 1.2, size)
      }
      if (!one.delays.length) return to.fillRect(x, height - 1, step - 1.2, 1)
      to.globalAlpha = 0.35
      bar(worst[at], '--accent')
      to.globalAlpha = 1
      bar(one.delays.toSorted((a, b) => a - b)[one.delays.length >> 1], '--accent')
    })
    to.fillStyle = colour('--muted')
    to.font = '10px system-ui, "Liberation Sans", sans-serif'
    to.fillText(`${Math.round(top)} ms`, 0, 9)
  }
}

const fresh = () => ({ messages: 0, positions: 0, frames: 0, delays: [] })
