import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

/** Colours of contenders that people with every kind of colour vision tell apart (Okabe and Ito), for light and dark ground. */
const COLORS = {
  light: ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#9a7b00', '#56b4e9', '#555555'],
  dark: ['#56b4e9', '#ff9d5c', '#2fc79a', '#e39cc4', '#f0e442', '#9fb8ff', '#bbbbbb'],
}

const dark = matchMedia('(prefers-color-scheme: dark)')

/** The colour of the contender `i`, on the ground that is now. */
export function colorOf(i: number): string {
  const colors = COLORS[dark.matches ? 'dark' : 'light']
  return colors[i % colors.length]!
}

/** Calls back when the ground has become light or dark. */
export function onTheme(draw: () => void): void {
  dark.addEventListener('change', draw)
}

/** A plot, as its caller describes it. */
export interface Plot {
  readonly title: string
  /** For those who do not see it. */
  readonly description: string
  readonly x: {
    readonly label: string
    readonly values: readonly number[]
    readonly show: (x: number) => string
  }
  readonly y: {
    readonly label: string
    readonly show: (y: number) => string
    /** What the readout says; default: as the axis. */
    readonly tell?: (y: number) => string
    readonly from0?: true
  }
  readonly series: readonly {
    readonly name: string
    readonly values: readonly (number | null | undefined)[]
  }[]
  readonly kind: 'points' | 'line' | 'bars'
  /** Where ticks of x are; default: wherever they are round. */
  readonly ticks?: readonly number[]
  /** What the readout says of a place; default: as the axis. */
  readonly readout?: (x: number) => string
  /** A horizontal line. */
  readonly mark?: { readonly at: number; readonly label: string } | undefined
  readonly wide?: true
}

const HEIGHT = 260

/** Draws a plot into a figure of its own, anew whenever its width or the colours change. */
export function figureOf(plot: Plot): HTMLElement {
  const figure = document.createElement('figure')
  if (plot.wide === true) figure.className = 'wide'
  const title = document.createElement('h3')
  title.textContent = plot.title
  const stage = document.createElement('div')
  stage.setAttribute('role', 'img')
  stage.setAttribute('aria-label', `${plot.title}. ${plot.description}`)
  const told = document.createElement('output')
  figure.append(title, stage, told)
  let drawn: uPlot | undefined
  const draw = () => {
    drawn?.destroy()
    drawn = new uPlot(
      optionsOf(plot, stage.clientWidth, told),
      [plot.x.values as number[], ...plot.series.map(({ values }) => values as (number | null)[])],
      stage,
    )
    stage.dataset['drawn'] = ''
  }
  let width = 0
  new ResizeObserver(() => {
    if (stage.clientWidth === width) return
    width = stage.clientWidth
    draw()
  }).observe(stage)
  onTheme(draw)
  return figure
}

function optionsOf(plot: Plot, width: number, told: HTMLOutputElement): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const [text, line] = ['--faint', '--line'].map((name) => resolved(style.getPropertyValue(name)))
  const axis = {
    stroke: text!,
    grid: { stroke: line!, width: 1 },
    ticks: { stroke: line!, width: 1 },
    font: '12px system-ui',
  }
  const { x, y, ticks, mark } = plot
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: plot.kind !== 'bars' } },
    scales: {
      x: { time: false },
      y: {
        range: (_, low, high) => {
          const top = Math.max(high, mark === undefined ? -Infinity : 1.05 * mark.at)
          const bottom = y.from0 === true ? 0 : low - 0.05 * (top - low || top)
          return [Math.max(0, bottom), top + 0.05 * (top - bottom || top)]
        },
      },
    },
    axes: [
      {
        ...axis,
        label: x.label,
        labelFont: axis.font,
        labelSize: 18,
        size: 30,
        values: (_, values) => values.map((value) => (value === null ? '' : x.show(value))),
        ...(ticks === undefined ? {} : { splits: () => ticks as number[] }),
      },
      {
        ...axis,
        label: y.label,
        labelFont: axis.font,
        labelSize: 18,
        size: 52,
        values: (_, values) => values.map(y.show),
      },
    ],
    series: [{}, ...plot.series.map(({ name }, i) => seriesOf(plot.kind, name, colorOf(i)))],
    hooks: {
      draw: [(u) => mark !== undefined && drawMark(u, mark, text!)],
      setCursor: [
        (u) => {
          const { idx } = u.cursor
          told.value = idx === null || idx === undefined ? '' : readout(plot, idx)
        },
      ],
    },
  }
}

function seriesOf(kind: Plot['kind'], label: string, stroke: string): uPlot.Series {
  if (kind === 'points')
    return { label, stroke, paths: () => null, points: { show: true, size: 4, width: 0, fill: stroke } }
  const common = { label, stroke, width: 2, points: { show: false } }
  if (kind === 'line') return common
  return { ...common, fill: `${stroke}33`, paths: uPlot.paths.stepped!({ align: 1 }) }
}

function drawMark(u: uPlot, { at, label }: NonNullable<Plot['mark']>, color: string): void {
  const y = u.valToPos(at, 'y', true)
  const { left, width } = u.bbox
  u.ctx.save()
  u.ctx.strokeStyle = u.ctx.fillStyle = color
  u.ctx.setLineDash([6, 5])
  u.ctx.beginPath()
  u.ctx.moveTo(left, y)
  u.ctx.lineTo(left + width, y)
  u.ctx.stroke()
  u.ctx.textAlign = 'right'
  u.ctx.textBaseline = 'bottom'
  u.ctx.font = `${12 * devicePixelRatio}px system-ui`
  u.ctx.fillText(label, left + width - 4, y - 3)
  u.ctx.restore()
}

/** What is under the pointer. In a plot of points, each contender has its own times. */
function readout({ x, y, series, readout: place = x.show }: Plot, index: number): string {
  const told = series.flatMap(({ name, values }) => {
    const value = values[index]
    return value == null ? [] : [`${name} ${(y.tell ?? y.show)(value)}`]
  })
  return `${place(x.values[index]!)}: ${told.join(', ')}`
}

/** Canvas knows no light-dark(): the browser tells which of both it is. */
function resolved(color: string): string {
  const probe = document.createElement('span')
  probe.style.color = color
  document.body.append(probe)
  const { color: rgb } = getComputedStyle(probe)
  probe.remove()
  return rgb
}
