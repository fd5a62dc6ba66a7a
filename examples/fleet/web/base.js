// The map below the aircraft. It is drawn once for a view and then copied.
import { project } from './view.js'

const PLACES = [ // name, latitude, longitude, pixels of a degree from which on it is told
  ['Zürich', 47.377, 8.541, 0], ['Genève', 46.204, 6.143, 0], ['Basel', 47.56, 7.589, 0], ['Bern', 46.948, 7.447, 0], ['Lugano', 46.004, 8.951, 0],
  ['Lausanne', 46.52, 6.633, 250], ['Luzern', 47.05, 8.309, 250], ['St. Gallen', 47.424, 9.371, 250], ['Chur', 46.85, 9.532, 250], ['Sion', 46.233, 7.36, 250],
  ['Milano', 45.464, 9.19, 0], ['Lyon', 45.764, 4.836, 0], ['Torino', 45.07, 7.687, 0], ['Dijon', 47.322, 5.041, 0], ['Stuttgart', 48.776, 9.183, 0], ['Freiburg', 47.999, 7.842, 250],
  ['Innsbruck', 47.269, 11.404, 0], ['Grenoble', 45.188, 5.724, 0], ['Memmingen', 47.984, 10.181, 250], ['Interlaken', 46.686, 7.863, 500], ['Davos', 46.8, 9.83, 500], ['Neuchâtel', 46.99, 6.929, 500],
]

export class Base {
  canvas = document.createElement('canvas')
  countries = []

  async load() {
    const countries = await (await fetch('map/countries.json')).json()
    this.countries = countries.map(({ name, rings }) => {
      const path = new Path2D()
      for (const ring of rings) {
        ring.forEach(([lon, lat], at) => path[at ? 'lineTo' : 'moveTo'](...project(lat, lon)))
        path.closePath()
      }
      return { name, path }
    })
  }

  draw(view, ratio, colour) {
    const { canvas } = this
    canvas.width = view.width * ratio
    canvas.height = view.height * ratio
    const to = canvas.getContext('2d')
    to.scale(ratio, ratio)
    to.fillStyle = colour('--ground')
    to.fillRect(0, 0, view.width, view.height)
    to.save()
    to.translate(view.width / 2, view.height / 2)
    to.scale(view.scale, view.scale)
    to.translate(-view.x, -view.y)
    to.lineJoin = 'round'
    for (const home of [false, true]) {
      for (const { name, path } of this.countries) {
        if ((name === 'Switzerland') !== home) continue
        to.fillStyle = colour(home ? '--home' : '--land')
        to.fill(path)
        to.strokeStyle = colour(home ? '--edge' : '--border')
        to.lineWidth = (home ? 1.3 : 1) / view.scale
        to.stroke(path)
      }
    }
    to.restore()
    this.drawTiles(to, view, colour)
    to.font = '12px system-ui, "Liberation Sans", sans-serif'
    to.fillStyle = colour('--place')
    to.textBaseline = 'middle'
    for (const [name, latitude, longitude, from] of PLACES) {
      if (view.scale < from) continue
      const [x, y] = view.pixel(...project(latitude, longitude))
      to.fillRect(x - 1.5, y - 1.5, 3, 3)
      to.fillText(name, x + 6, y)
    }
  }

  // the square degrees that are channels
  drawTiles(to, view, colour) {
    to.strokeStyle = colour('--tile')
    to.lineWidth = 1
    to.setLineDash([2, 4])
    to.beginPath()
    for (let lon = 5; lon <= 11; lon++) this.line(to, view.pixel(...project(45, lon)), view.pixel(...project(48, lon)))
    for (let lat = 45; lat <= 48; lat++) this.line(to, view.pixel(...project(lat, 5)), view.pixel(...project(lat, 11)))
    to.stroke()
    to.setLineDash([])
  }

  line(to, from, until) {
    to.moveTo(...from)
    to.lineTo(...until)
  }
}
