import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodePfm, decodePfmFlow, encodePfmFlow } from '../../lib/formats/pfm.js'
import {
  anyMotion,
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

  test.each([
    'PF\r\n47 31\r\n-1.0\r\n',
    'PF \n47 31 \n-1.000000 \n',
    'PF\n47\n31\n-1\n',
    'PF\n# made by\n47 31\n# scale\n-1e0\n',
    'PF\n47 31 # size\n-.5\t\r\n',
    'PF 47 31 -1 ',
  ])('reads the header %j', (header) => {
    const body = LITTLE.subarray(LITTLE.length - 12 * 47 * 31)
    expectSameFlow(decodePfmFlow(Uint8Array.from([...Buffer.from(header), ...body])), goldenFlow())
  })

  test('a first sample that looks like the end of a header belongs to the samples', () => {
    const sample = Uint8Array.of(0x0d, 0x0a, 0x23, 0x0a, 0x20, 0x0a, 0x0a, 0x0a, 0, 0, 0, 0)
    const [x, y] = new Float32Array(sample.buffer)
    const flow = decodePfmFlow(Uint8Array.from([...Buffer.from('PF\r\n1 1\r\n-1\r\n'), ...sample]))
    expect([...flow.data]).toEqual([x, y])
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

  test('keeps every known motion exactly, in both byte orders', () => {
    const order = fc.constantFrom('little' as const, 'big' as const)
    fc.assert(
      fc.property(anyFlow(anyMotion), order, (flow, byteOrder) =>
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
