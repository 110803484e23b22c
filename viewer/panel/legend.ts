import type { PageData } from '../../lib/cli/view/page-data.js'
import { writeColor } from '../../lib/viz/color-wheel.js'
import { canvasOf, h, setText } from '../dom.js'
import { type LayerId, LOOP_SCALE } from '../layers/layers.js'
import { CONFIDENCE_RAMP, ERROR_RAMP, gradientOf, OCCLUSION_COLOR, type Ramp } from '../layers/ramps.js'
import type { State, Store } from '../state.js'
import { slider } from './controls.js'

/** CSS pixels across the wheel. */
const WHEEL = 116

/** What the colours of flow mean: the wheel of directions, with its scale. */
export function legendPanel(data: PageData, store: Store): HTMLElement {
  const wheel = new Wheel(data)
  const range = { min: -4, max: 4, step: 0.02 }
  const scale = slider(
    'Motion with the full colour',
    range,
    () => `${lengthText(store.state.scale)} px`,
    (octaves) => store.set({ scale: octaves === 0 ? data.scale : data.scale * 2 ** octaves }),
  )
  const element = h(
    'section',
    { 'aria-label': 'Colours of flow', class: 'legend' },
    h('h2', {}, 'Colours of flow'),
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
  )
  store.listen((state) => {
    scale.show(Math.log2(state.scale / data.scale))
    wheel.show(state)
  })
  return element
}

/** The colours of all motions up to the scale, with a mark at that of the probe. */
class Wheel {
  readonly element: HTMLElement
  readonly #mark = h('span', { class: 'mark' })
  readonly #columns: number

  constructor({ grid }: PageData) {
    this.#columns = grid.columns
    this.element = h(
      'div',
      {
        class: 'wheel',
        role: 'img',
        'aria-label':
          'Colour wheel: red is motion to the right, yellow down, green and cyan left, blue up; white is none',
      },
      canvasOf(wheelImage(Math.round(WHEEL * devicePixelRatio))),
      this.#mark,
    )
  }

  show({ shot, probe, scale }: State): void {
    const i = probe === undefined ? -1 : probe.row * this.#columns + probe.column
    const x = (shot?.flow.x[i] ?? NaN) / scale
    const y = (shot?.flow.y[i] ?? NaN) / scale
    this.#mark.hidden = Number.isNaN(x)
    const length = Math.max(Math.hypot(x, y), 1)
    this.#mark.style.left = `${50 + (50 * x) / length}%`
    this.#mark.style.top = `${50 + (50 * y) / length}%`
  }
}

function wheelImage(size: number): ImageData {
  const image = new ImageData(size, size)
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

/** What the colours of a layer mean; undefined for flow, which has the wheel. */
export function layerLegend(id: LayerId, data: PageData): HTMLElement | undefined {
  if (id === 'error') return rampBar(ERROR_RAMP, '0', `≥ ${lengthText(data.errorScale ?? 1)} px`)
  if (id === 'loop') return rampBar(ERROR_RAMP, '0', `≥ ${LOOP_SCALE} px`)
  if (id === 'confidence') return rampBar(CONFIDENCE_RAMP, '0', '1')
  if (id !== 'occlusion') return undefined
  const swatch = h('span', { class: 'swatch' })
  swatch.style.background = `rgb(${OCCLUSION_COLOR.join(' ')})`
  return h('div', { class: 'layer-legend' }, swatch, 'hidden in frame 2')
}

function rampBar(ramp: Ramp, low: string, high: string): HTMLElement {
  const bar = h('span', { class: 'ramp' })
  bar.style.background = gradientOf(ramp)
  return h('div', { class: 'layer-legend' }, low, bar, high)
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
