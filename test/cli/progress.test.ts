import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Progress } from '../../lib/cli/run/progress.js'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }))
afterEach(() => void vi.useRealTimers())

function terminal(isTTY: boolean) {
  const written: string[] = []
  return { written, isTTY, write: (text: string) => void written.push(text) }
}

test('work of less than a second shows nothing', () => {
  const out = terminal(true)
  const progress = new Progress(out, 'shown')
  for (const stage of ['decoding', 'loading', 'head']) {
    progress.stage(stage)
    vi.advanceTimersByTime(900)
  }
  progress.end()
  expect(out.written).toEqual([])
})

test('longer work shows what it is and how far it is, and leaves no trace', () => {
  const out = terminal(true)
  const progress = new Progress(out, 'shown')
  progress.stage('loading')
  progress.reached(0.25)
  progress.reached(0.5)
  vi.advanceTimersByTime(2000)
  expect(out.written.at(-1)).toBe('\r\x1b[2Kloading 50 % (2 s)')
  progress.end()
  expect(out.written.at(-1)).toBe('\r\x1b[2K')
})

test('the line makes room for other output, and comes back in the words of the caller', () => {
  const out = terminal(true)
  const progress = new Progress(out, 'shown')
  progress.stage('loading')
  progress.clear()
  expect(out.written).toEqual([])
  progress.tell('3 of 8 pairs, 12 s left')
  vi.advanceTimersByTime(2000)
  expect(out.written.at(-1)).toBe('\r\x1b[2K3 of 8 pairs, 12 s left')
  progress.clear()
  expect(out.written.at(-1)).toBe('\r\x1b[2K')
  vi.advanceTimersByTime(200)
  expect(out.written.at(-1)).toBe('\r\x1b[2K3 of 8 pairs, 12 s left')
  progress.end()
})

test('a stage told in the caller’s words has no time of its own, until the next stage', () => {
  const out = terminal(true)
  const progress = new Progress(out, 'shown')
  progress.stage('loading')
  progress.tell('frame 3, 2 s left')
  vi.advanceTimersByTime(2000)
  expect(out.written.at(-1)).toBe('\r\x1b[2Kframe 3, 2 s left')
  progress.stage('closing')
  vi.advanceTimersByTime(1000)
  expect(out.written.at(-1)).toBe('\r\x1b[2Kclosing (1 s)')
  progress.end()
})

test.each([
  ['a file', false, 'shown'],
  ['a quiet program', true, 'hidden'],
] as const)('%s gets none of it', (_, isTTY, mode) => {
  const out = terminal(isTTY)
  const progress = new Progress(out, mode)
  progress.stage('loading')
  vi.advanceTimersByTime(5000)
  progress.end()
  expect(out.written).toEqual([])
})
