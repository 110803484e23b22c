import type { PageData, TimelineStep } from '../lib/cli/view/page-data.js'
import { button, slider } from './panel/controls.js'
import { lengthText } from './panel/legend.js'
import { context2d, h, setText, colorOf } from './dom.js'
import type { Store } from './state.js'

/** Flows a second while they play. */
const SPEED = 8

/** CSS pixels of the plot's height, and free space at its sides, where the slider's thumb ends. */
const HEIGHT = 64
const SIDE = 8

/** The mean motion over time, and a slider through the flows. Undefined for a single flow. */
export function timelinePanel(
  data: PageData,
  store: Store,
  goTo: (shot: number) => Promise<void>,
): HTMLElement | undefined {
  const { timeline, shots } = data
  if (timeline.length === 0) return undefined
  const canvas = h('canvas', { 'aria-hidden': 'true', class: 'plot' })
  const stepOf = (shot: number) => timeline.findIndex((step) => step.shot === shot)
  const scrub = slider(
    'Flow of the sequence',
    { min: 0, max: Math.max(timeline.length - 1, 1), step: 1 },
    (place) => describe(timeline[place]),
    (place) => void goTo(shotTowards(timeline, stepOf(store.state.shotIndex), place)),
  )
  if (shots.length === 1) scrub.element.disabled = true
  const play = button('▶', 'Play (space)', () => store.set({ mode: 'layers', playing: !store.state.playing }))
  const before = button('‹', 'Flow before (comma)', () => void goTo(store.state.shotIndex - 1))
  const after = button('›', 'Next flow (full stop)', () => void goTo(store.state.shotIndex + 1))
  const now = h('span', { class: 'now' })
  const keys =
    data.errorScale === null
      ? []
      : [h('span', { class: 'key' }, 'mean motion'), h('span', { class: 'key key-error' }, 'mean error')]
  const element = h(
    'section',
    { class: 'timeline', 'aria-label': 'Timeline' },
    h('div', { class: 'buttons' }, before, play, after),
    h('div', { class: 'track' }, canvas, scrub.element),
    h('div', { class: 'told' }, now, h('span', { class: 'hint' }, summaryOf(data), ...keys)),
  )

  const placeOf = (index: number) =>
    SIDE + ((canvas.clientWidth - 2 * SIDE) * index) / Math.max(timeline.length - 1, 1)
  const draw = () => drawPlot(canvas, timeline, stepOf(store.state.shotIndex), placeOf)
  new ResizeObserver(draw).observe(canvas)
  const seek = (event: PointerEvent): void => {
    if ((event.buttons & 1) === 0) return
    const { left } = canvas.getBoundingClientRect()
    const share = (event.clientX - left - SIDE) / Math.max(canvas.clientWidth - 2 * SIDE, 1)
    const place = Math.round(share * (timeline.length - 1))
    void goTo(shotTowards(timeline, stepOf(store.state.shotIndex), place))
  }
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId)
    seek(event)
  })
  canvas.addEventListener('pointermove', seek)
  store.listen((state, before) => {
    scrub.show(stepOf(state.shotIndex))
    setText(now, describe(timeline[stepOf(state.shotIndex)]))
    const playing = state.mode !== 'blink' && state.playing
    setText(play, playing ? '❚❚' : '▶')
    play.setAttribute('aria-label', playing ? 'Pause (space)' : 'Play (space)')
    play.title = play.getAttribute('aria-label')!
    // Told when a key or the slider goes on, not while it plays.
    now.setAttribute('aria-live', playing ? 'off' : 'polite')
    // Not for each move of the pointer: there may be thousands of steps.
    if (state.probe === before.probe) draw()
  })
  startPlaying(data, store, goTo)
  return element
}

/**
 * The flow that is seen when a slider goes from one place of the timeline to another. Not every place has one in the page: then it
 * is the next one in the direction of the slider, so that a key that moves it by one goes on over a gap.
 */
function shotTowards(timeline: readonly TimelineStep[], from: number, to: number): number {
  const onward =
    to > from ? timeline.slice(Math.max(to, 0)) : timeline.slice(0, Math.max(to, 0) + 1).reverse()
  const current = timeline[from]?.shot ?? 0
  return onward.find(({ shot }) => shot !== null)?.shot ?? current
}

function startPlaying(data: PageData, store: Store, goTo: (shot: number) => Promise<void>): void {
  let running = false
  const run = async (): Promise<void> => {
    running = true
    while (store.state.playing && store.state.mode !== 'blink') {
      const begin = performance.now()
      await goTo((store.state.shotIndex + 1) % data.shots.length)
      const rest = 1000 / SPEED - (performance.now() - begin)
      await new Promise((resolve) => setTimeout(resolve, Math.max(rest, 0)))
    }
    running = false
  }
  store.listen(({ playing, mode }) => {
    if (playing && mode !== 'blink' && !running) void run()
  })
}

function describe(step: TimelineStep | undefined): string {
  if (step === undefined) return ''
  const mean = step.mean === null ? 'no motion known' : `mean ${step.mean.toFixed(2)} px`
  const error = step.error === null ? '' : `, error ${step.error.toFixed(2)} px`
  return `${step.number}: ${mean}${error}${step.event === 'cut' ? ', most likely a cut' : ''}`
}

function summaryOf({ timeline }: PageData): string {
  const count = (event: TimelineStep['event']) => timeline.filter((step) => step.event === event).length
  const [gaps, broken, cuts] = [count('gap'), count('broken'), count('cut')]
  const counted = (n: number, one: string, many: string) => (n === 0 ? [] : [`${n} ${n === 1 ? one : many}`])
  const parts = [
    ...counted(timeline.length - gaps - broken, 'flow', 'flows'),
    ...counted(gaps, 'gap', 'gaps'),
    ...counted(broken, 'unreadable file', 'unreadable files'),
    ...counted(cuts, 'cut', 'cuts'),
  ]
  return parts.join(', ')
}

/** The mean motion as an area, the mean error as a line; gaps as hatched columns, cuts as lines; the flow that is seen as a mark. */
function drawPlot(
  canvas: HTMLCanvasElement,
  timeline: readonly TimelineStep[],
  now: number,
  placeOf: (index: number) => number,
): void {
  const { clientWidth: width } = canvas
  canvas.width = Math.max(1, Math.round(width * devicePixelRatio))
  canvas.height = Math.round(HEIGHT * devicePixelRatio)
  const context = context2d(canvas)
  context.scale(devicePixelRatio, devicePixelRatio)
  const top = Math.max(...timeline.map(({ mean, error }) => Math.max(mean ?? 0, error ?? 0)), 0.01)
  const floor = HEIGHT - 4
  const heightOf = (value: number) => floor - (value / top) * (floor - 16)
  const half = Math.max((placeOf(1) - placeOf(0)) / 2, 0.75)

  timeline.forEach(({ event }, i) => {
    if (event !== 'gap' && event !== 'broken') return
    context.fillStyle = colorOf(event === 'gap' ? '--gap' : '--broken')
    context.fillRect(placeOf(i) - half, 14, 2 * half, floor - 14)
  })
  for (const [value, style] of [
    [(step: TimelineStep) => step.mean, '--accent'],
    [(step: TimelineStep) => step.error, '--error'],
  ] as const) {
    for (const [from, to] of runsOf(timeline, value)) {
      const line = new Path2D()
      // A single flow between two gaps is as wide as its place.
      const points = from === to ? [-half, half] : []
      for (let i = from; i <= to; i++) {
        const y = heightOf(value(timeline[i]!)!)
        if (points.length === 0) line.lineTo(placeOf(i), y)
        else for (const dx of points) line.lineTo(placeOf(i) + dx, y)
      }
      context.strokeStyle = colorOf(style)
      context.lineWidth = 1.5
      context.lineJoin = 'round'
      context.stroke(line)
      if (style !== '--accent') continue
      const [left, right] = [placeOf(from) + (points[0] ?? 0), placeOf(to) + (points[1] ?? 0)]
      line.lineTo(right, floor)
      line.lineTo(left, floor)
      context.globalAlpha = 0.18
      context.fillStyle = colorOf(style)
      context.fill(line)
      context.globalAlpha = 1
    }
  }
  context.fillStyle = colorOf('--cut')
  timeline.forEach(({ event }, i) => {
    if (event !== 'cut') return
    context.fillRect(placeOf(i) - 0.75, 6, 1.5, floor - 6)
    context.beginPath()
    context.moveTo(placeOf(i) - 5, 2)
    context.lineTo(placeOf(i) + 5, 2)
    context.lineTo(placeOf(i), 9)
    context.fill()
  })
  context.fillStyle = colorOf('--line')
  context.fillRect(SIDE, floor, width - 2 * SIDE, 1)
  context.fillStyle = colorOf('--faint')
  context.font = `11px ${getComputedStyle(document.body).fontFamily}`
  context.fillText(`${lengthText(top)} px`, SIDE + 5, 11)
  if (now < 0) return
  context.fillStyle = colorOf('--text')
  context.fillRect(placeOf(now) - 1, 0, 2, HEIGHT)
}

/** The stretches in which every step has a value. */
function runsOf(
  timeline: readonly TimelineStep[],
  value: (step: TimelineStep) => number | null,
): [number, number][] {
  const runs: [number, number][] = []
  timeline.forEach((step, i) => {
    if (value(step) === null) return
    const last = runs.at(-1)
    if (last?.[1] === i - 1) last[1] = i
    else runs.push([i, i])
  })
  return runs
}
