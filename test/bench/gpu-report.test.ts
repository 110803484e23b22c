import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'

const gpu = (name: string) => fileURLToPath(new URL(`../../bench/gpu/${name}`, import.meta.url))

interface Predictions {
  readonly height: number
  readonly width: number
  readonly cards: readonly {
    readonly name: string
    readonly capability: string
    readonly multiprocessors: number
    readonly ordinaryGapUs: number
    readonly nodes: number
    readonly kernelUs: number
    readonly frameUs: number
    readonly launches: readonly {
      kernel: string
      grid: number[]
      times: number
      us: number
      limiter: string
    }[]
  }[]
}
const predictions = JSON.parse(readFileSync(gpu('predictions.json'), 'utf8')) as Predictions
const card = predictions.cards.find(({ name }) => name === 'H200')!

let folder: string
beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'gpu-report-'))))
afterEach(() => rmSync(folder, { recursive: true }))

/** What check.sh notes of a part that passed. */
function part(name: string, output: object) {
  const record = path.join(folder, 'notes', 'parts', name)
  mkdirSync(record, { recursive: true })
  const notes = {
    command: name,
    limit: '60',
    code: '0',
    times: '10.5 12.0',
    out: JSON.stringify(output),
    err: '',
  }
  for (const [file, text] of Object.entries(notes)) writeFileSync(path.join(record, file), text)
}

/** The cells of the rows of report.md that begin with a text. */
function report() {
  mkdirSync(path.join(folder, 'notes', 'machine'))
  writeFileSync(path.join(folder, 'notes', 'machine', 'device'), 'NVIDIA H200')
  execFileSync('python3', [gpu('report.py'), path.join(folder, 'notes'), folder])
  const text = readFileSync(path.join(folder, 'report.md'), 'utf8')
  const rows = text
    .split('\n')
    .flatMap((line) => (line.startsWith('| ') ? [line.slice(2, -2).split(' | ')] : []))
  return {
    text,
    row: (...begin: string[]) => rows.filter((cells) => begin.every((cell, i) => cells[i] === cell)),
  }
}

const { capability, multiprocessors, ordinaryGapUs: gap } = card
const launchTimes = { capability, multiprocessors, precision: 'fp16', height: 640, width: 640, repeats: 20 }
const quantiles = { p50: 1, p90: 1, p95: 1, p99: 1.1, p999: 1.2, max: 1.3, p99OverP50: 1.1 }

test('the launches of a frame stand beside their predictions, the longest first', () => {
  // Every launch takes twice its prediction, except one that has none.
  const launches = card.launches.slice(1).map(({ us, ...launch }) => ({ ...launch, us: 2 * (us + gap) }))
  const [absent] = card.launches
  part('01-launch_times', {
    ...launchTimes,
    launches: [...launches, { kernel: 'unheard_of', grid: [7, 8, 9], times: 1, us: 0.125 }],
  })
  const { row, text } = report()
  expect(text).toContain('beside their predictions')
  for (const { kernel, grid, times, us, limiter } of card.launches.slice(1)) {
    const [, , count, measured, predicted, ratio, by] = row(kernel, grid.join(' x '))[0]!
    expect([Number(count), ratio, by]).toEqual([times, '2', limiter])
    expect(Number(measured)).toBeCloseTo(2 * (us + gap), 1)
    expect(Number(predicted)).toBeCloseTo(us + gap, 1)
  }
  expect(row('unheard_of', '7 x 8 x 9')).toEqual([
    ['unheard_of', '7 x 8 x 9', '1', '0.125', '', '', '', '0.125'],
  ])
  expect(row(absent!.kernel, absent!.grid.join(' x '))[0]!.slice(3, 5)).toEqual([
    '',
    expect.stringMatching(/\d/),
  ])
  const totals = text
    .split('\n')
    .filter((line) => launches.some(({ kernel }) => line.startsWith(`| ${kernel} |`)))
    .map((line) => Number(line.split(' | ').at(-1)!.replace(' |', '')))
    .slice(0, launches.length)
  expect(totals).toEqual([...totals].sort((a, b) => b - a))
})

test('all launches, and the frame that the device measured, stand beside their predictions', () => {
  const deviceFrameMs = { ...quantiles, p50: 0.9 }
  const one = { precision: 'fp16', frames: 1000, framesPerSecond: 900, frameMs: quantiles, deviceFrameMs }
  part('01-latency-seed', { model: 'seed', height: 640, width: 640, results: [one] })
  part('02-launch_times', { ...launchTimes, launches: [{ ...card.launches[0]!, times: 3, us: 250 }] })
  const { row } = report()
  const [launches] = row('launches by themselves')
  expect(launches![1]).toBe('0.75')
  expect(Number(launches![2])).toBeCloseTo((card.kernelUs + card.nodes * gap) / 1000, 3)
  const frame = row('frame').find((cells) => cells.length === 4)!
  expect(frame[1]).toBe('0.9')
  expect(Number(frame[3])).toBeCloseTo(900 / card.frameUs, 2)
})

test('a card or a size without predictions is told', () => {
  for (const other of [
    { height: 32 },
    { precision: 'bf16' },
    { capability: '7.5' },
    { multiprocessors: 3 },
  ]) {
    rmSync(path.join(folder, 'notes'), { recursive: true, force: true })
    part('01-launch_times', { ...launchTimes, launches: card.launches, ...other })
    const { text, row } = report()
    expect(text).toContain('There are no predictions for this card and size.')
    expect(row(card.launches[0]!.kernel)[0]!.slice(4, 7)).toEqual(['', '', ''])
  }
})
