import type { Store } from '../state.js'
import type { Camera, Point } from './camera.js'
import { wipeX } from './draw.js'

/** A press within so many CSS pixels of the wipe's line moves it: more for a finger. */
const REACH = { mouse: 10, finger: 24 } as const

/** A press that moves less is a click. */
const STILL = 4

/** A factor of zoom per CSS pixel of a wheel. */
const WHEEL = 1.0015

/** What a press does until it ends. */
type Drag = 'pan' | 'wipe' | 'probe' | 'pinch'

/**
 * A mouse reads by moving, pans by dragging, zooms by its wheel, pins by a click. One finger reads, two fingers pan and zoom. Near
 * the line of a wipe, both move it.
 */
export class Gestures {
  readonly #stage: HTMLElement
  readonly #camera: Camera
  readonly #store: Store
  readonly #redraw: () => void
  readonly #pressed = new Map<number, Point>()
  #drag: Drag | undefined
  #moved = 0

  constructor(stage: HTMLElement, camera: Camera, store: Store, redraw: () => void) {
    this.#stage = stage
    this.#camera = camera
    this.#store = store
    this.#redraw = redraw
    stage.addEventListener('pointerdown', (event) => this.#press(event))
    stage.addEventListener('pointermove', (event) => this.#move(event))
    stage.addEventListener('pointerup', (event) => this.#release(event))
    stage.addEventListener('pointercancel', (event) => this.#release(event))
    stage.addEventListener('pointerleave', (event) => {
      if (event.pointerType === 'mouse' && this.#drag === undefined && !store.state.pinned)
        store.set({ probe: undefined })
    })
    stage.addEventListener('dblclick', () => {
      camera.fit()
      redraw()
    })
    stage.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault()
        const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1
        camera.zoom(WHEEL ** (-event.deltaY * lines * (event.ctrlKey ? 4 : 1)), this.#pointOf(event))
        redraw()
        this.#read(event)
      },
      { passive: false },
    )
  }

  #press(event: PointerEvent): void {
    if (event.button !== 0) return
    this.#stage.setPointerCapture(event.pointerId)
    const point = this.#pointOf(event)
    this.#pressed.set(event.pointerId, point)
    this.#moved = 0
    if (this.#pressed.size > 1) this.#drag = 'pinch'
    else if (this.#isNearWipe(point, event)) this.#drag = 'wipe'
    else this.#drag = event.pointerType === 'touch' ? 'probe' : 'pan'
    this.#stage.dataset['drag'] = this.#drag
    if (this.#drag === 'probe') this.#pinAt(point)
  }

  #move(event: PointerEvent): void {
    const before = this.#pressed.get(event.pointerId)
    const point = this.#pointOf(event)
    if (before === undefined || this.#drag === undefined) {
      this.#stage.dataset['near'] = this.#isNearWipe(point, event) ? 'wipe' : ''
      this.#read(event)
      return
    }
    const [dx, dy] = [point.x - before.x, point.y - before.y]
    this.#moved += Math.hypot(dx, dy)
    if (this.#drag === 'pinch') this.#pinch(event.pointerId, before, point)
    else if (this.#drag === 'wipe') this.#wipeTo(point)
    else if (this.#drag === 'probe') this.#pinAt(point)
    else if (this.#moved >= STILL) {
      this.#camera.pan(dx, dy)
      this.#redraw()
    }
    this.#pressed.set(event.pointerId, point)
  }

  #release(event: PointerEvent): void {
    if (!this.#pressed.delete(event.pointerId)) return
    const clicked = this.#drag === 'pan' && this.#moved < STILL && event.type === 'pointerup'
    if (clicked) this.#togglePin(this.#pointOf(event))
    // The finger that is left of a pinch does nothing more: it would move the probe by chance.
    if (this.#pressed.size > 0) return
    this.#drag = undefined
    delete this.#stage.dataset['drag']
  }

  /** One of two fingers moves: the picture goes with the middle between them, and grows with their distance. */
  #pinch(id: number, before: Point, point: Point): void {
    const other = [...this.#pressed].find(([each]) => each !== id)?.[1]
    if (other === undefined) return
    const middle = (a: Point) => ({ x: (a.x + other.x) / 2, y: (a.y + other.y) / 2 })
    const distance = (a: Point) => Math.max(Math.hypot(a.x - other.x, a.y - other.y), 1)
    const [from, to] = [middle(before), middle(point)]
    this.#camera.zoom(distance(point) / distance(before), from)
    this.#camera.pan(to.x - from.x, to.y - from.y)
    this.#redraw()
  }

  #read(event: MouseEvent): void {
    const { state } = this.#store
    if (state.pinned) return
    this.#store.set({ probe: this.#camera.cellAt(this.#pointOf(event)) })
  }

  #pinAt(point: Point): void {
    const probe = this.#camera.cellAt(point)
    if (probe !== undefined) this.#store.set({ probe, pinned: true })
  }

  #togglePin(point: Point): void {
    const probe = this.#camera.cellAt(point)
    const { state } = this.#store
    const same = state.pinned && probe?.column === state.probe?.column && probe?.row === state.probe?.row
    if (probe === undefined || same) this.#store.set({ pinned: false, probe })
    else this.#store.set({ pinned: true, probe })
  }

  #isNearWipe({ x }: Point, { pointerType }: PointerEvent): boolean {
    const { state } = this.#store
    const reach = REACH[pointerType === 'touch' ? 'finger' : 'mouse']
    return state.mode === 'wipe' && Math.abs(x - wipeX(this.#camera, state)) <= reach
  }

  #wipeTo({ x }: Point): void {
    const { from, to } = this.#camera.visible
    this.#store.set({ wipe: Math.min(Math.max((x - from) / Math.max(to - from, 1), 0), 1) })
  }

  #pointOf({ clientX, clientY }: MouseEvent): Point {
    const { left, top } = this.#stage.getBoundingClientRect()
    return { x: clientX - left, y: clientY - top }
  }
}
