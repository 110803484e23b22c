import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import { decodeFlo, encodeFlo } from '../../lib/formats/flo.js'
import {
  anyFlow,
  anyMotion,
  damage,
  expectFieldOrFormatError,
  expectSameFlow,
  fixture,
  goldenFlow,
} from './helpers.js'

const GOLDEN = fixture('formats/flow_31x47.flo')

describe('.flo', () => {
  test('reads the golden file exactly', () => {
    expectSameFlow(decodeFlo(GOLDEN), goldenFlow())
  })

  test('writes the golden file byte for byte', () => {
    expect(encodeFlo(goldenFlow())).toEqual(Uint8Array.from(GOLDEN))
  })

  test('keeps every known motion exactly', () => {
    fc.assert(fc.property(anyFlow(anyMotion), (flow) => expectSameFlow(decodeFlo(encodeFlo(flow)), flow)))
  })

  test('a pixel with one unknown component is unknown, as 1e10 in the file and NaN in memory', () => {
    const flow = new FlowField(3, 1, Float32Array.of(NaN, 1, Infinity, 2, -2e9, 3))
    const bytes = encodeFlo(flow)
    expect(new Float32Array(bytes.buffer, 12)).toEqual(Float32Array.of(1e10, 1e10, 1e10, 1e10, 1e10, 1e10))
    expect(decodeFlo(bytes).data).toEqual(new Float32Array(6).fill(NaN))
  })

  test('decodes bytes that are not aligned', () => {
    const shifted = new Uint8Array(GOLDEN.length + 1)
    shifted.set(GOLDEN, 1)
    expectSameFlow(decodeFlo(shifted.subarray(1)), goldenFlow())
  })

  test.each([
    [2 ** 31 - 1, 2 ** 31 - 1],
    [-1, -1457],
    [0, 0],
    [48, 31],
  ])('refuses a file that claims to be %i x %i', (width, height) => {
    const bytes = Uint8Array.from(GOLDEN)
    new DataView(bytes.buffer).setInt32(4, width, true)
    new DataView(bytes.buffer).setInt32(8, height, true)
    expect(() => decodeFlo(bytes)).toThrow(expect.objectContaining({ code: 'ERR_FORMAT' }))
  })

  test('a damaged file is a smaller field or a format error', async () => {
    await fc.assert(fc.asyncProperty(damage(GOLDEN), (bytes) => expectFieldOrFormatError(bytes, decodeFlo)))
  })
})
