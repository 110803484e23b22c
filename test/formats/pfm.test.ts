import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodePfm, decodePfmFlow, encodePfmFlow } from '../../lib/formats/pfm.js'
import {
  anyFloat32,
  anyFlow,
  damage,
  expectFieldOrFormatError,
  expectSameFlow,
  fixture,
  goldenFlow,
} from './helpers.js'

const LITTLE = fixture('formats/flow_31x47_le.pfm')
const BIG = fixture('formats/flow_31x47_be.pfm')
const GREY = fixture('formats/gray_31x47_le.pfm')

describe('PFM', () => {
  test('reads the golden files of both byte orders exactly', () => {
    expectSameFlow(decodePfmFlow(LITTLE), goldenFlow())
    expectSameFlow(decodePfmFlow(BIG), goldenFlow())
  })

  test('writes the golden files of both byte orders byte for byte', () => {
    expect(encodePfmFlow(goldenFlow())).toEqual(Uint8Array.from(LITTLE))
    expect(encodePfmFlow(goldenFlow(), 'big')).toEqual(Uint8Array.from(BIG))
  })

  test('reads grey, the top row first', () => {
    const { width, height, channels, data } = decodePfm(GREY)
    expect({ width, height, channels }).toEqual({ width: 47, height: 31, channels: 1 })
    expect(data).toEqual(goldenFlow().x)
  })

  test('refuses grey as flow, and says so', () => {
    expect(() => decodePfmFlow(GREY)).toThrow(
      expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringContaining('grey') }),
    )
  })

  test('keeps every value exactly, in both byte orders', () => {
    const order = fc.constantFrom('little' as const, 'big' as const)
    fc.assert(
      fc.property(anyFlow(anyFloat32), order, (flow, byteOrder) =>
        expectSameFlow(decodePfmFlow(encodePfmFlow(flow, byteOrder)), flow),
      ),
    )
  })

  test.each([
    'PF\n999999999 999999999\n-1\n',
    'PF\n0 0\n-1\n',
    'PF\n-1 1\n-1\n',
    'PF\n1 1\n0\n',
    'PF\n1 1\n',
    'PF',
    '',
  ])('refuses the header %j', (header) => {
    const bytes = new TextEncoder().encode(header)
    expect(() => decodePfm(bytes)).toThrow(expect.objectContaining({ code: 'ERR_FORMAT' }))
  })

  test('a damaged file is a field or a format error', async () => {
    await fc.assert(
      fc.asyncProperty(damage(LITTLE), (bytes) => expectFieldOrFormatError(bytes, decodePfmFlow)),
    )
  })
})
