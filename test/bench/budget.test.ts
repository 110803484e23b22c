import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { predictions, renderBudget } from '../../bench/gpu/budget.mjs'
import type { Card } from '../../bench/gpu/cards.mjs'
import { mergeLaunches, predictFrame } from '../../bench/gpu/predict.mjs'
import { checkReasons, wastefulOf } from '../../bench/gpu/waste.mjs'

const file = (name: string) => fileURLToPath(new URL(`../../bench/gpu/${name}`, import.meta.url))

/** Ten multiprocessors at 1 GHz: a microsecond is 1,000 cycles of each. */
const card: Card = {
  name: 'a card',
  capability: '8.0',
  image: 'sm_80',
  multiprocessors: 10,
  clock: 1,
  mma: 1024,
  memory: 100,
  l2: 500,
  l2MiB: 1,
  gap: 3,
  threads: 2048,
  blocks: 32,
  shared: 100,
}

const launch = (counts: object, blocks = 10) => ({
  kernel: 'k',
  grid: [blocks, 1, 1],
  block: [128, 1, 1],
  ...counts,
})

function predict(counts: object, blocks?: number, registers: Record<string, number> = {}) {
  return predictFrame(mergeLaunches([launch(counts, blocks)]), card, registers).launches[0]!
}

describe('the prediction of a launch', () => {
  test('is the time of the resource that is busy longest', () => {
    const tensor = predict({ mma: 10_000, shared_wavefronts: 20_000, l2_sectors: 1000, l2_new_bytes: 9000 })
    expect(tensor.resources).toMatchObject({ 'tensor cores': 4, 'shared memory': 2, memory: 0.1 })
    expect(tensor).toMatchObject({ limiter: 'tensor cores', us: 4, perfectUs: 4 })
    const shared = predict({
      mma: 10_000,
      shared_wavefronts: 30_000,
      load_lines: 20_000,
      store_lines: 10_000,
    })
    expect(shared).toMatchObject({ limiter: 'shared memory', us: 6, perfectUs: 4 })
    expect(predict({ l2_new_bytes: 60_000, l2_first_bytes: 15_000, l2_dirty_bytes: 30_000 })).toMatchObject({
      limiter: 'memory',
      us: 1,
      perfectUs: 0.5,
    })
    expect(predict({ specials: 10_000 })).toMatchObject({ limiter: 'special functions', us: 2 })
    expect(predict({ l2_sectors: 62_500 })).toMatchObject({ limiter: 'L2', us: 4 })
  })

  test('waits for the multiprocessor with the most blocks', () => {
    expect(predict({ mma: 10_000 }, 11)).toMatchObject({ busy: 0.55, us: 4 / 0.55, perfectUs: 4 })
    expect(predict({ mma: 10_000 }, 1)).toMatchObject({ busy: 0.1, us: 40, perfectUs: 4 })
    expect(predict({ l2_new_bytes: 90_000 }, 1).us).toBe(1) // memory is not a multiprocessor's own
  })

  test('names the blocks that fit on a multiprocessor', () => {
    expect(predict({}).residentBlocks).toBe(16) // by threads
    expect(predict({ shared_bytes: 19 * 1024 }).residentBlocks).toBe(5)
    expect(predict({}, 10, { k: 128 }).residentBlocks).toBe(4)
    expect(predict({}, 10, { k: 129 }).residentBlocks).toBe(3) // a warp gets registers in units of 256
    expect(predict({ shared_bytes: 19 * 1024 }, 100).waves).toBe(2)
  })
})

describe('the prediction of a frame', () => {
  const copy = { copy: 'cuMemcpyDtoDAsync', bytes: 45_000 }
  const lines = [launch({ mma: 10_000 }), copy, launch({ mma: 20_000 }), launch({ mma: 10_000 })]

  test('is the sum of its launches, its copies and the gaps before them', () => {
    const frame = predictFrame(mergeLaunches(lines), card, {})
    expect(frame.launches.map((merged) => [merged['times'], merged.us])).toEqual([
      [2, 4],
      [1, 8],
    ])
    expect(frame).toMatchObject({ nodes: 4, gapUs: 12, kernelUs: 17, frameUs: 29, perfectUs: 16 })
  })

  test('has the shorter gaps of programmatic launches where the card has any', () => {
    const programmatic = lines.map((line) => ('kernel' in line ? { ...line, programmatic: 1 } : line))
    const gaps = (on: Card) => predictFrame(mergeLaunches(programmatic), on, {}).gapUs
    expect(gaps({ ...card, programmaticGap: 1 })).toBe(3 * 1 + 3) // a copy waits for the launch before it
    expect(gaps(card)).toBe(12)
  })

  test('hides a branch behind what runs beside it, as far as the resources of both allow', () => {
    const all = (branch: object, beside: object) =>
      predictFrame(
        mergeLaunches([
          launch({ mma: 10_000 }),
          launch({ ...branch, path: 'branch' }),
          launch({ ...beside, path: 'beside' }),
          launch({ ...beside, path: 'beside' }),
        ]),
        card,
        {},
      )
    // 4 and 2 x 2 microseconds of other resources, and gaps of 3: the branch takes 7, the rest beside it 10.
    expect(all({ mma: 10_000 }, { specials: 10_000 })).toMatchObject({
      nodes: 4,
      dependentNodes: 3,
      savedUs: 7,
      frameUs: 17,
    })
    // Both need the tensor cores: 8 and 2 x 4 microseconds of them cannot be less than 16.
    expect(all({ mma: 20_000 }, { mma: 10_000 })).toMatchObject({ savedUs: 9, frameUs: 23 })
    expect(predictFrame(mergeLaunches(lines), card, {})).toMatchObject({ dependentNodes: 4, savedUs: 0 })
  })

  test('has no part of what is copied from and to the host', () => {
    const host = { copy: 'cuMemcpyHtoDAsync', bytes: 1e9 }
    const frame = predictFrame(mergeLaunches([...lines, host]), card, {})
    expect(frame).toMatchObject({ nodes: 4, frameUs: 29 })
  })
})

describe('waste', () => {
  const frame = (...lines: object[]) => [{ card, frame: predictFrame(mergeLaunches(lines), card, {}) }]
  // 4 microseconds of L2, a tenth of them for bytes that nobody asks for; or of shared memory, half of it conflicts.
  const sectors = (kernel: string, unused = 200_000) => ({
    ...launch({ l2_sectors: 62_500, l2_unused_bytes: unused }),
    kernel,
  })
  const conflicts = { ...launch({ shared_wavefronts: 40_000, shared_least: 20_000 }), kernel: 'b_f16' }

  test('is named where a launch wastes more than 2 % of its time', () => {
    const predicted = frame(
      sectors('a_f16_64x64'),
      sectors('a_f16_32x32', 0),
      conflicts,
      sectors('c_f32', 30_000),
    )
    expect(wastefulOf(predicted)).toMatchObject([
      { family: 'b', waste: 0.5, card: 'a card' },
      { family: 'a', waste: expect.closeTo(0.1), share: expect.closeTo(0.4 / predicted[0]!.frame.frameUs) },
    ])
    const tensor = { ...launch({ mma: 10_000, shared_wavefronts: 30_000 }), kernel: 'd_f16' }
    expect(wastefulOf(frame(tensor))).toEqual([]) // another resource limits it
  })

  test('needs a reason, and a reason needs waste', () => {
    const wasteful = wastefulOf(frame(sectors('a_f16'), conflicts))
    expect(() => checkReasons(wasteful, { a: 'so', b: 'so' })).not.toThrow()
    expect(() => checkReasons(wasteful, { b: 'so' })).toThrow(
      'waste.mjs: a wastes 10.0 % of a launch on a card: mend it, or say why not',
    )
    expect(() => checkReasons(wasteful, { a: 'so', b: 'so', c: 'so' })).toThrow(
      'waste.mjs: c: no launch wastes over 2 %, so take the reason out',
    )
  })
})

test('BUDGET.md and predictions.json are what their command makes of the counts', () => {
  const [counts, before] = ['counts.json', 'counts-before.json'].map(
    (name) => JSON.parse(readFileSync(file(name), 'utf8')) as object,
  )
  expect(readFileSync(file('BUDGET.md'), 'utf8')).toBe(renderBudget(counts!, before!))
  expect(JSON.parse(readFileSync(file('predictions.json'), 'utf8'))).toEqual(predictions(counts!))
})
