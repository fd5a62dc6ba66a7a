// What part of the world the canvas shows. World coordinates are those of Mercator: x is degrees east, y is in the same measure, south is down.

const AREA = { west: 4.5, east: 12, south: 44.8, north: 48.8 } // that can be shown
export const HOME = { west: 5.75, east: 10.7, south: 45.7, north: 47.95 }
const CLOSEST = 2200 // pixels of a degree

export const project = (latitude, longitude) => [longitude, -Math.log(Math.tan(Math.PI / 4 + latitude * Math.PI / 360)) * 180 / Math.PI]
const latitude = y => Math.atan(Math.exp(-y * Math.PI / 180)) * 360 / Math.PI - 90

export class View {
  x = 0 // world coordinates of the middle
  y = 0
  scale = 1 // pixels of a degree

  constructor(changed) { this.changed = changed }

  resize(width, height) {
    const first = !this.width
    Object.assign(this, { width, height })
    first ? this.home() : this.settle()
  }

  home() {
    const [west, north] = project(HOME.north, HOME.west)
    const [east, south] = project(HOME.south, HOME.east)
    const side = this.width > 900 ? 330 : 0 // the panels
    const above = side ? 0 : 90
    this.scale = Math.min((this.width - side - 30) / (east - west), (this.height - above - 60) / (south - north))
    this.x = (west + east) / 2 - side / 2 / this.scale
    this.y = (north + south) / 2 - above / 2 / this.scale
    this.settle()
  }

  // zoom keeps the place below a pixel where it is.
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.world(px, py)
    const [west] = project(0, AREA.west)
    const [east] = project(0, AREA.east)
    const scale = Math.min(CLOSEST, Math.max(Math.min(this.width, this.height) / (east - west), this.scale * factor))
    Object.assign(this, { scale, x: x - (px - this.width / 2) / scale, y: y - (py - this.height / 2) / scale })
    this.settle()
  }

  move(dx, dy) {
    this.x -= dx / this.scale
    this.y -= dy / this.scale
    this.settle()
  }

  settle() {
    const [west, north] = project(AREA.north, AREA.west)
    const [east, south] = project(AREA.south, AREA.east)
    this.x = Math.min(east, Math.max(west, this.x))
    this.y = Math.min(south, Math.max(north, this.y))
    this.changed()
  }

  pixel(x, y) { return [(x - this.x) * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2] }
  world(px, py) { return [(px - this.width / 2) / this.scale + this.x, (py - this.height / 2) / this.scale + this.y] }

  // tiles are the names of the square degrees in sight, of those that have flights.
  tiles() {
    const [west, north] = this.world(0, 0)
    const [east, south] = this.world(this.width, this.height)
    const names = []
    for (let lat = Math.max(45, Math.floor(latitude(south))); lat <= Math.min(47, Math.floor(latitude(north))); lat++) {
      for (let lon = Math.max(5, Math.floor(west)); lon <= Math.min(10, Math.floor(east)); lon++) names.push(`${lat}-${lon}`)
    }
    return names
  }
}
