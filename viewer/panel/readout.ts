import type { PageData } from '../../lib/cli/view/page-data.js'
import { h, setText } from '../dom.js'
import { angleOf, type Readings, readingsAt, type Vector } from '../measure.js'
import type { State, Store } from '../state.js'

/** A line of the readout: what it is, in which element, and its text. */
interface Line {
  readonly id: string
  readonly label: string
  readonly about: string
  readonly text: (readings: Readings) => string | undefined
  /** Whether the page has what it tells. */
  readonly isIn: boolean
}

const NOTHING = '–'

/** The figures at the probe. */
export class Readout {
  readonly element: HTMLElement
  readonly #announced = h('p', { class: 'unseen', 'aria-live': 'polite', id: 'announced' })
  readonly #data: PageData
  readonly #store: Store

  constructor(data: PageData, store: Store, id: string) {
    this.#data = data
    this.#store = store
    const has = (name: 'truth' | 'backward' | 'confidence' | 'occlusion') =>
      data.shots.some((shot) => shot[name] !== undefined)
    const lines = linesOf(has).filter(({ isIn }) => isIn)
    const outputs = new Map(lines.map((line) => [line.id, h('output', { id: `read-${line.id}` }, NOTHING)]))
    const hint = h('p', { class: 'hint' })
    this.element = h(
      'section',
      { class: 'readout', 'aria-label': 'At the pointer' },
      h(
        'dl',
        { id },
        ...lines.map(({ id: line, label, about }) =>
          h(
            'div',
            { title: about, class: `line-${line}` },
            h('dt', {}, label),
            h('dd', {}, outputs.get(line)!),
          ),
        ),
      ),
      hint,
      this.#announced,
    )
    store.listen((state) => {
      const readings = this.#readings(state)
      for (const line of lines) setText(outputs.get(line.id)!, (readings && line.text(readings)) ?? NOTHING)
      setText(hint, hintOf(state))
    })
  }

  /** Tells a reader of screens what is at the probe: for keys, not for every move of a mouse. */
  announce(): void {
    const readings = this.#readings(this.#store.state)
    if (readings === undefined) return
    const { at, flow, error } = readings
    const known = Number.isFinite(flow.x)
    const parts = [
      `x ${at.x}, y ${at.y}`,
      known ? `moves ${px(Math.hypot(flow.x, flow.y))} ${directionOf(flow)}` : 'flow unknown',
      ...(error === undefined ? [] : [`error ${px(error)}`]),
    ]
    setText(this.#announced, parts.join(': '))
  }

  #readings({ probe, shot }: State): Readings | undefined {
    if (probe === undefined || shot === undefined) return undefined
    return readingsAt(shot, probe.row * this.#data.grid.columns + probe.column, this.#data.grid)
  }
}

function linesOf(has: (name: 'truth' | 'backward' | 'confidence' | 'occlusion') => boolean): readonly Line[] {
  return [
    {
      id: 'pixel',
      label: 'Pixel',
      about: 'x to the right, y down; the centre of the first pixel is 0, 0',
      text: ({ at }) => `${at.x}, ${at.y}`,
      isIn: true,
    },
    {
      id: 'end',
      label: 'Goes to',
      about: 'the place of this pixel in the second frame',
      text: ({ at, flow }) => vector({ x: at.x + flow.x, y: at.y + flow.y }, false),
      isIn: true,
    },
    {
      id: 'vector',
      label: 'Motion',
      about: 'from the first frame to the second, x to the right, y down, in pixels',
      text: ({ flow }) => vector(flow, true),
      isIn: true,
    },
    {
      id: 'length',
      label: 'Length',
      about: 'of the motion, in pixels',
      text: ({ flow }) => px(Math.hypot(flow.x, flow.y)),
      isIn: true,
    },
    {
      id: 'angle',
      label: 'Angle',
      about: 'of the motion: 0° is right, 90° is down',
      text: ({ flow }) => angle(flow),
      isIn: true,
    },
    {
      id: 'occlusion',
      label: 'In frame 2',
      about: 'whether the pixel can be seen in the second frame',
      text: ({ occlusion }) =>
        occlusion === undefined ? undefined : occlusion >= 0.5 ? 'hidden' : 'visible',
      isIn: has('occlusion'),
    },
    {
      id: 'error',
      label: 'Error',
      about: 'end-point error: how far the motion ends from its ground truth',
      text: ({ error }) => px(error),
      isIn: has('truth'),
    },
    {
      id: 'truth',
      label: 'Truth',
      about: 'the motion of the ground truth',
      text: ({ truth }) => vector(truth, true),
      isIn: has('truth'),
    },
    {
      id: 'loop',
      label: 'There and back',
      about: 'how far the pixel ends from its start, along the flow and back',
      text: ({ thereAndBack }) =>
        thereAndBack !== undefined && Number.isNaN(thereAndBack) ? 'leaves the frame' : px(thereAndBack),
      isIn: has('backward'),
    },
    {
      id: 'confidence',
      label: 'Confidence',
      about: '0 is uncertain, 1 is certain',
      text: ({ confidence }) =>
        confidence === undefined ? undefined : Number.isNaN(confidence) ? 'unknown' : confidence.toFixed(2),
      isIn: has('confidence'),
    },
  ]
}

function hintOf({ probe, pinned }: State): string {
  if (pinned) return 'Held. Esc, or a click on it, lets go.'
  return probe === undefined ? 'Point at the picture, or tap it.' : 'A click holds this pixel.'
}

function px(value: number | undefined): string {
  if (value === undefined) return NOTHING
  return Number.isFinite(value) ? `${fixed(value)} px` : 'unknown'
}

function vector(value: Vector | undefined, signed: boolean): string {
  if (value === undefined) return NOTHING
  if (!Number.isFinite(value.x)) return 'unknown'
  const sign = (v: number) => (signed && v >= 0.005 ? '+' : '')
  return `${sign(value.x)}${fixed(value.x)}, ${sign(value.y)}${fixed(value.y)}`
}

function angle(value: Vector): string {
  if (!Number.isFinite(value.x)) return 'unknown'
  return Math.hypot(value.x, value.y) < 0.005
    ? NOTHING
    : `${Math.round(angleOf(value)) || 0}°`.replace('-', '−')
}

/** Two digits behind the point, with the minus of typography, and without that of a zero. */
function fixed(value: number): string {
  const text = value.toFixed(2)
  return text === '-0.00' ? '0.00' : text.replace('-', '−')
}

const DIRECTIONS = [
  'right',
  'down and right',
  'down',
  'down and left',
  'left',
  'up and left',
  'up',
  'up and right',
]

function directionOf(value: Vector): string {
  return Math.hypot(value.x, value.y) < 0.005 ? '' : DIRECTIONS[(Math.round(angleOf(value) / 45) + 8) % 8]!
}
