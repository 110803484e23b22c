import { expect, test } from 'vitest'
import { type PatchGrid, resolveGrid } from '../lib/size.js'
import { flowError } from './support/compare.js'

const FRAME = { height: 480, width: 640 }

test('every size of the network is held against the limit of patches', () => {
  for (const size of ['seed', 'native', [640, 640]] as const) {
    expect(() => resolveGrid(size, FRAME, 1)).toThrow(flowError('ERR_ARGUMENT', 'more than 65536'))
    expect(resolveGrid(size, FRAME, 16).gridWidth).toBe(40)
  }
})

test("'fit' keeps the frame's shape and at most 640 x 640 pixels of it, 'native' all of it", () => {
  const sides = ({ gridHeight, gridWidth }: PatchGrid) => [8 * gridHeight, 8 * gridWidth]
  for (const size of ['fit', 'native'] as const)
    expect(sides(resolveGrid(size, FRAME, 8))).toEqual([480, 640])
  const hd = { height: 1080, width: 1920 }
  expect(sides(resolveGrid('native', hd, 8))).toEqual([1080, 1920])
  expect(sides(resolveGrid('fit', hd, 8))).toEqual([480, 856])
  expect(sides(resolveGrid('fit', { height: 1, width: 3 }, 8))).toEqual([8, 8])
  expect(sides(resolveGrid('half', hd, 8))).toEqual([240, 424])
  expect(sides(resolveGrid('half', { height: 480, width: 640 }, 8))).toEqual([240, 320])
})
