import type { PageData } from '../../lib/cli/view/page-data.js'
import { writeColor } from '../../lib/viz/color-wheel.js'
import { context2d, h, setText } from '../dom.js'
import { LAYERS, LOOP_SCALE } from '../layers/layers.js'
import { CONFIDENCE_RAMP, ERROR_RAMP, gradientOf, OCCLUSION_COLOR, type Ramp } from '../layers/ramps.js'
import type { State, Store } from '../state.js'
import { slider } from './controls.js'

/** CSS pixels across the wheel. */
const WHEEL = 116

/** What colours mean: the wheel of directions with its scale, and the ramp of each layer that is shown. */
export function legendPanel(data: PageData, store: Store): HTMLElement {
  const wheel = new Wheel(data)
  const range = { min: -4, max: 4, step: 0.02 }
  const scale = slider(
    'Motion with the full colour',
    range,
    () => `${lengthText(store.state.scale)} px`,
    (octaves) => store.set({ scale: octaves === 0 ? data.scale : data.scale * 2 ** octaves }),
  )
  const ramps = [
    { id: 'error', ramp: ERROR_RAMP, name: 'Error', ends: ['0', `≥ ${lengthText(data.errorScale ?? 1)} px`] },
    { id: 'loop', ramp: ERROR_RAMP, name: 'There and back', ends: ['0', `≥ ${LOOP_SCALE} px`] },
    { id: 'confidence', ramp: CONFIDENCE_RAMP, name: 'Confidence', ends: ['0', '1'] },
  ] as const
  const bars = ramps
    .filter(({ id }) => LAYERS.find((layer) => layer.id === id)!.isIn(data))
    .map(({ id, ramp, name, ends }) => ({ id, element: rampBar(ramp, name, ends) }))
  const hidden = h('div', { class: 'swatch-line' }, h('span', { class: 'swatch' }), 'hidden in frame 2')
  hidden.querySelector<HTMLElement>('.swatch')!.style.background = `rgb(${OCCLUSION_COLOR.join(' ')})`
  const element = h(
    'section',
    { 'aria-label': 'Legend', class: 'legend' },
    h('h2', {}, 'Legend'),
    h(
      'div',
      { class: 'wheel-line' },
      wheel.element,
      h(
        'div',
        { class: 'scale' },
        h('p', {}, 'Rim of the wheel'),
        h('p', { class: 'big' }, scale.value),
        scale.element,
        h('p', { class: 'hint' }, 'Longer motion is darker.'),
      ),
    ),
    ...bars.map((bar) => bar.element),
    hidden,
  )
  store.listen((state) => {
    const layers = state.mode === 'layers'
    scale.show(Math.log2(state.scale / data.scale))
    for (const bar of bars) bar.element.hidden = !(layers && state.shown[bar.id])
    hidden.hidden = !(layers && state.shown.occlusion)
    wheel.show(state)
  })
  return element
}

/** The colours of all motions up to the scale, with a mark at that of the probe. */
class Wheel {
  readonly element: HTMLElement
  readonly #canvas = h('canvas', { 'aria-hidden': 'true' })
  readonly #columns: number
  #drawn = ''

  constructor({ grid }: PageData) {
    this.#columns = grid.columns
    this.element = h(
      'div',
      {
        class: 'wheel',
        role: 'img',
        'aria-label':
          'Colour wheel: red is motion to the right, yellow down, cyan left, blue up; white is none',
      },
      this.#canvas,
    )
  }

  show({ shot, probe, scale }: State): void {
    const i = probe === undefined ? -1 : probe.row * this.#columns + probe.column
    const x = (shot?.flow.x[i] ?? NaN) / scale
    const y = (shot?.flow.y[i] ?? NaN) / scale
    const key = `${x} ${y} ${devicePixelRatio}`
    if (key === this.#drawn) return
    this.#drawn = key
    const size = Math.round(WHEEL * devicePixelRatio)
    if (this.#canvas.width !== size) this.#canvas.width = this.#canvas.height = size
    const context = context2d(this.#canvas)
    context.putImageData(wheelImage(size), 0, 0)
    if (Number.isNaN(x)) return
    const length = Math.max(Math.hypot(x, y), 1)
    const radius = size / 2 - 2
    context.beginPath()
    context.arc(
      size / 2 + (radius * x) / length,
      size / 2 + (radius * y) / length,
      5 * devicePixelRatio,
      0,
      2 * Math.PI,
    )
    context.lineWidth = 2 * devicePixelRatio
    context.strokeStyle = '#000'
    context.stroke()
    context.fillStyle = '#fff'
    context.fill()
  }
}

let image: ImageData | undefined

function wheelImage(size: number): ImageData {
  if (image?.width === size) return image
  image = new ImageData(size, size)
  const rgb = new Uint8Array(3)
  const radius = size / 2 - 1
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const x = column + 0.5 - size / 2
      const y = row + 0.5 - size / 2
      const length = Math.hypot(x, y)
      const unit = Math.max(length, radius)
      writeColor(x / unit, y / unit, rgb, 0)
      image.data.set(rgb, 4 * (row * size + column))
      image.data[4 * (row * size + column) + 3] = 255 * Math.min(Math.max(radius + 0.5 - length, 0), 1)
    }
  return image
}

function rampBar(ramp: Ramp, name: string, [low, high]: readonly [string, string]): HTMLElement {
  const bar = h('div', { class: 'ramp' })
  bar.style.background = gradientOf(ramp)
  return h(
    'div',
    { class: 'ramp-line' },
    h('p', {}, name),
    bar,
    h('div', { class: 'ends' }, h('span', {}, low), h('span', {}, high)),
  )
}

/** Two digits, or all in front of the point. */
export function lengthText(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(2)))
}

/** A note under the panels, such as that pictures were resized. */
export function notesPanel(notes: readonly string[]): HTMLElement {
  const list = h('ul', {}, ...notes.map((note) => h('li', {}, note)))
  const element = h('section', { 'aria-label': 'Notes', class: 'notes' }, h('h2', {}, 'Notes'), list)
  element.hidden = notes.length === 0
  return element
}

/** The label of the flow that is seen, for the header. */
export function shotLabel(store: Store): HTMLElement {
  const element = h('span', { class: 'label' })
  store.listen(({ shot }) => setText(element, shot?.label ?? 'opening …'))
  return element
}
