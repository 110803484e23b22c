import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkFrame, isFile } from '../../lib/frame.js'
import { FlowError, type Frame, PIXEL_FORMATS } from '../../lib/index.js'
import { loadModel } from '../../lib/load.js'
import type { NativeFrame, NativeModel } from '../../lib/native/contract.js'
import { callSite } from '../../lib/native/failure.js'
import { formatRow } from '../../lib/pixel-formats.js'
import { TINY } from '../support/fixtures.js'
import { type Random, randomFrom } from '../support/random.mjs'

const FRAMES = 4000
const NONSENSE = [
  undefined,
  null,
  -1,
  0,
  1.5,
  NaN,
  Infinity,
  2 ** 31,
  2 ** 53,
  '',
  'p010',
  {},
  [],
  true,
  1n,
  Symbol('x'),
]

let native: NativeModel

beforeAll(async () => {
  ;({ native } = await loadModel(TINY, callSite(loadModel)))
})
afterAll(() => native.disposeSync())

/** Reads every row of a frame. */
function read(frame: NativeFrame): void {
  const output = { height: 16, width: 16, flow: new Float32Array(2 * 16 * 16) }
  native.run({ from: frame, to: frame, gridHeight: 1, gridWidth: 1, ...output })
}

/** A frame that is right, and fills its memory to the last byte. */
function rightFrame(random: Random): Frame {
  const format = random.pick(PIXEL_FORMATS)
  const [width, height] = [random.integer(1, 40), random.integer(1, 40)]
  let end = 0
  const planes = formatRow(format)!
    .sizes(width, height)
    .map(({ row, rows }) => {
      const stride = row + random.pick([0, 0, 5])
      const offset = end + random.pick([0, 3])
      end = offset + stride * (rows - 1) + row
      return { offset, stride }
    })
  const data = new Uint8Array(end).map(() => random.integer(0, 255))
  return { data, width, height, format, planes }
}

/** Changes one number or value somewhere in it, often by a little. */
function mutate(random: Random, value: unknown): unknown {
  if (typeof value === 'number' && random.chance(0.7))
    return value + random.pick([-2, -1, 1, 2, 1000, 65_536, -value])
  if (value instanceof Int32Array) {
    const copy = Int32Array.from(value)
    copy[random.integer(0, copy.length - 1)] = random.pick([
      -1,
      0,
      1,
      2,
      3,
      4,
      5,
      15,
      16,
      255,
      2 ** 22,
      -(2 ** 31),
    ])
    return copy
  }
  if (value instanceof Uint8Array)
    return value.subarray(random.pick([0, 1]), value.length - random.pick([0, 1, 7]))
  if (Array.isArray(value) && value.length > 0 && random.chance(0.8)) {
    const at = random.integer(0, value.length - 1)
    return value.map((part: unknown, i) => (i === at ? mutate(random, part) : part))
  }
  if (typeof value === 'object' && value !== null && random.chance(0.9)) {
    const key = random.pick(Object.keys(value).length > 0 ? Object.keys(value) : ['offset'])
    return { ...value, [key]: mutate(random, (value as Record<string, unknown>)[key]) }
  }
  return random.pick([...NONSENSE, ...PIXEL_FORMATS])
}

describe('a frame that is wrong somewhere', () => {
  it('is refused in less than 400 characters, or read', () => {
    const random = randomFrom(1)
    let refused = 0
    for (let i = 0; i < FRAMES; i++) {
      let frame: unknown = rightFrame(random)
      for (let k = random.integer(0, 2); k > 0; k--) frame = mutate(random, frame)
      if (isFile(frame)) continue
      let checked: NativeFrame
      try {
        checked = checkFrame(frame as Frame, 'frame')
      } catch (error) {
        refused++
        expect(error).toBeInstanceOf(FlowError)
        expect(error).toMatchObject({ code: 'ERR_FRAME' })
        expect((error as Error).message.length).toBeLessThanOrEqual(400)
        continue
      }
      read(checked)
    }
    expect(refused).toBeGreaterThan(FRAMES / 4)
    expect(refused).toBeLessThan((FRAMES * 4) / 5)
  })

  it('is refused by the addon, or read, also if lib/ had let it pass', () => {
    const random = randomFrom(2)
    let refused = 0
    for (let i = 0; i < FRAMES; i++) {
      const frame = mutate(random, checkFrame(rightFrame(random), 'frame')) as NativeFrame
      try {
        read(frame)
      } catch (error) {
        refused++
        expect((error as Error).message.length).toBeLessThanOrEqual(400)
      }
    }
    expect(refused).toBeGreaterThan(FRAMES / 4)
    expect(refused).toBeLessThan((FRAMES * 9) / 10)
  })
})
