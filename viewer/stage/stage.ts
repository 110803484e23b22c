import type { PageData } from '../../lib/cli/view/page-data.js'
import { colorOf, context2d, h, setText } from '../dom.js'
import type { Store } from '../state.js'
import { Camera } from './camera.js'
import { arrowTimes, Painter } from './draw.js'
import { Gestures } from './gestures.js'

/** The picture: a canvas that fills its element, drawn once a frame of the screen at most. */
export class Stage {
  readonly element: HTMLElement
  readonly camera: Camera
  /** How large the picture is drawn. */
  readonly zoomText = h('span', { class: 'hint' })
  /** How long arrows are drawn. */
  readonly arrowText = h('div', { class: 'layer-legend' })
  readonly #canvas = h('canvas', { 'aria-hidden': 'true' })
  readonly #painter: Painter
  readonly #store: Store
  readonly #data: PageData
  #waiting = false

  /** @param readoutId the element that describes what is at the probe */
  constructor(data: PageData, store: Store, readoutId: string) {
    const { columns, rows } = data.grid
    this.#data = data
    this.#store = store
    this.camera = new Camera({ width: columns, height: rows })
    this.#painter = new Painter(data)
    this.element = h(
      'div',
      {
        class: 'stage',
        id: 'stage',
        tabindex: '0',
        role: 'application',
        'aria-roledescription': 'flow picture',
        'aria-label': `Flow of ${data.title}, ${data.size.width} by ${data.size.height} pixels. Arrow keys move the crosshair, question mark lists all keys.`,
        'aria-describedby': readoutId,
      },
      this.#canvas,
    )
    this.element.style.setProperty('--aspect', String(columns / rows))
    new Gestures(this.element, this.camera, store, () => this.redraw())
    new ResizeObserver(() => this.#resize()).observe(this.element)
    store.listen(() => this.redraw())
  }

  /** Draws before the screen's next frame. */
  redraw(): void {
    if (this.#waiting) return
    this.#waiting = true
    requestAnimationFrame(() => {
      this.#waiting = false
      this.#draw()
    })
  }

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.element
    this.camera.resize({ width, height })
    this.#canvas.width = Math.max(1, Math.round(width * devicePixelRatio))
    this.#canvas.height = Math.max(1, Math.round(height * devicePixelRatio))
    // At once: a canvas of a new size is empty, and would flicker.
    this.#draw()
  }

  #draw(): void {
    const context = context2d(this.#canvas)
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.fillStyle = colorOf('--stage')
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height)
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
    this.#painter.draw(context, this.camera, this.#store.state)
    const { shot, shotIndex } = this.#store.state
    if (shot !== undefined) {
      if (this.element.dataset['drawn'] === undefined) performance.mark('first flow drawn')
      this.element.dataset['drawn'] = String(shotIndex)
    }
    const { scale } = this.camera
    this.element.dataset['zoom'] = scale.toFixed(3)
    const times = arrowTimes(this.camera, this.#data)
    setText(this.arrowText, times === 1 ? 'to where pixels go' : `${times} times as long as the motion`)
    setText(this.zoomText, `${Math.round((100 * scale * devicePixelRatio) / this.#data.grid.step)} %`)
  }
}
