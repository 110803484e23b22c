import './style.css'
import type { PagePlots } from '../lib/cli/bench/page.js'
import { colorOf, figureOf, onTheme } from './plot.js'
import { histogram, percentileCurve, quantile, sorted } from './statistics.js'

const { scenarios } = JSON.parse(document.querySelector('#data')!.textContent!) as PagePlots

/** Percentiles that have a tick. */
const NINES = [0, 50, 90, 99, 99.9, 99.99, 99.999]

type Scenario = PagePlots['scenarios'][number]

/** Milliseconds with three digits. */
const ms = (value: number) => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))))
const milliseconds = (value: number) => `${ms(value)} ms`

function scenarioPlots(scenario: Scenario): HTMLElement {
  const { title, results } = scenario
  const section = document.createElement('section')
  const heading = document.createElement('h2')
  heading.textContent = title
  const legend = document.createElement('ul')
  legend.className = 'legend'
  for (const [i, { name }] of results.entries()) {
    const item = document.createElement('li')
    item.textContent = name
    const color = () => item.style.setProperty('--color', colorOf(i))
    color()
    onTheme(color)
    legend.append(item)
  }
  const plots = document.createElement('div')
  plots.className = 'plots'
  const latencies = results.map(({ latency }) => sorted(latency))
  plots.append(
    figureOf(histogramPlot(scenario, latencies)),
    figureOf(percentilePlot(scenario, latencies)),
    figureOf(timePlot(scenario, latencies)),
  )
  section.append(heading, legend, plots)
  return section
}

function histogramPlot({ results }: Scenario, latencies: readonly Float64Array[]) {
  const { edges, shares } = histogram(latencies)
  const width = edges[1]! - edges[0]!
  return {
    title: 'Histogram of latency',
    description: summary(results, latencies),
    x: { label: 'ms', values: edges, show: (edge: number) => ms(edge) },
    y: {
      label: 'share of samples',
      show: (share: number) => `${Number((100 * share).toPrecision(3))} %`,
      from0: true,
    },
    series: results.map(({ name }, i) => ({ name, values: shares[i]! })),
    kind: 'bars',
    readout: (edge: number) => `${ms(edge)} to ${milliseconds(edge + width)}`,
  } as const
}

function percentilePlot({ results, deadline }: Scenario, latencies: readonly Float64Array[]) {
  const { x, curves } = percentileCurve(latencies)
  const place = (percent: number) => -Math.log10(1 - percent / 100)
  const percentOf = (nines: number) => Number((100 * (1 - 10 ** -nines)).toPrecision(5))
  return {
    title: 'Percentiles of latency',
    description: summary(results, latencies),
    x: { label: 'percentile', values: x, show: (nines: number) => `${percentOf(nines)} %` },
    y: { label: 'ms', show: ms, tell: milliseconds },
    series: results.map(({ name }, i) => ({ name, values: curves[i]! })),
    kind: 'line',
    ticks: NINES.map(place).filter((nines) => nines <= x.at(-1)!),
    mark: markOf(deadline),
  } as const
}

function timePlot({ results, deadline }: Scenario, latencies: readonly Float64Array[]) {
  // Contenders took turns: each has its own times, and is unknown at those of the others.
  const times = results.flatMap(({ at, latency }, i) =>
    at.map((time, j) => ({ time, i, value: latency[j]! })),
  )
  times.sort((a, b) => a.time - b.time)
  return {
    title: 'Latency over time',
    description: summary(results, latencies),
    x: {
      label: 's',
      values: times.map(({ time }) => time / 1000),
      show: (s: number) => String(Number(s.toFixed(2))),
    },
    y: { label: 'ms', show: ms, tell: milliseconds, from0: true },
    series: results.map(({ name }, i) => ({
      name,
      values: times.map((each) => (each.i === i ? each.value : null)),
    })),
    kind: 'points',
    readout: (s: number) => `${s.toFixed(2)} s`,
    mark: markOf(deadline),
    wide: true,
  } as const
}

function markOf(deadline: number | null) {
  return deadline === null ? undefined : { at: deadline, label: `deadline, ${milliseconds(deadline)}` }
}

function summary(results: Scenario['results'], latencies: readonly Float64Array[]): string {
  return results
    .map(({ name }, i) => {
      const [p50, p99] = [0.5, 0.99].map((share) => quantile(latencies[i]!, share))
      return `${name}: half within ${milliseconds(p50!)}, 99 % within ${milliseconds(p99!)}`
    })
    .join('; ')
}

document.querySelector('#plots')!.replaceChildren(...scenarios.map(scenarioPlots))
