import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FlowField } from '../../lib/flow-field.js'
import { decodeNpy, encodeNpy } from '../../lib/formats/npy.js'
import {
  anyMotion,
  anyFlow,
  damage,
  expectFieldOrFormatError,
  expectSameFlow,
  fromPairs,
  goldenFlow,
} from './helpers.js'

/** A file as NumPy would write it: `data` are the values in the order of the file. */
function npy(descr: string, order: 'C' | 'F', shape: string, data: Uint8Array, version = 1): Uint8Array {
  const fortran = order === 'F' ? 'True' : 'False'
  const text = `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`
  const size =
    version === 1 ? [text.length & 255, text.length >> 8] : [text.length & 255, text.length >> 8, 0, 0]
  const magic = [0x93, ...new TextEncoder().encode('NUMPY'), version, 0]
  return Uint8Array.from([...magic, ...size, ...new TextEncoder().encode(text), ...data])
}

/** Bytes of `values`, each written by the DataView method that `set` calls. */
function bytesOf(
  values: readonly number[],
  size: number,
  set: (view: DataView, at: number, value: number) => void,
): Uint8Array {
  const view = new DataView(new ArrayBuffer(size * values.length))
  values.forEach((value, i) => set(view, size * i, value))
  return new Uint8Array(view.buffer)
}

// 3 x 2 pixels (width x height); pixel i moves by (i, 10 + i).
const FLOW: FlowField = fromPairs(3, 2, [0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15])
const PAIRS = [0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15]
const float32 = (values: readonly number[]): Uint8Array =>
  bytesOf(values, 4, (v, at, x) => v.setFloat32(at, x, true))

describe('.npy', () => {
  test.each<[string, Uint8Array]>([
    ['(H, W, 2), C order', npy('<f4', 'C', '(2, 3, 2)', float32(PAIRS))],
    ['(2, H, W), C order', npy('<f4', 'C', '(2, 2, 3)', float32([...FLOW.data]))],
    [
      '(H, W, 2), Fortran order',
      npy('<f4', 'F', '(2, 3, 2)', float32([0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15])),
    ],
    [
      '(2, H, W), Fortran order',
      npy('<f4', 'F', '(2, 2, 3)', float32([0, 10, 3, 13, 1, 11, 4, 14, 2, 12, 5, 15])),
    ],
    ['version 2', npy('<f4', 'C', '(2, 3, 2)', float32(PAIRS), 2)],
    [
      'big-endian float32',
      npy(
        '>f4',
        'C',
        '(2, 3, 2)',
        bytesOf(PAIRS, 4, (v, at, x) => v.setFloat32(at, x)),
      ),
    ],
    [
      'float64',
      npy(
        '<f8',
        'C',
        '(2, 3, 2)',
        bytesOf(PAIRS, 8, (v, at, x) => v.setFloat64(at, x, true)),
      ),
    ],
    [
      'big-endian float64',
      npy(
        '>f8',
        'C',
        '(2, 3, 2)',
        bytesOf(PAIRS, 8, (v, at, x) => v.setFloat64(at, x)),
      ),
    ],
  ])('reads %s', (_, bytes) => {
    expectSameFlow(decodeNpy(bytes), FLOW)
  })

  test('reads float16, subnormals as well, and infinity and NaN as unknown', () => {
    const halves = [0x3c00, 0xc500, 0x0001, 0x7bff, 0xfc00, 0x7e00]
    const data = bytesOf(halves, 2, (view, at, half) => view.setUint16(at, half, true))
    const pairs = [1, -5, 2 ** -24, 65504, NaN, NaN]
    expectSameFlow(decodeNpy(npy('<f2', 'C', '(1, 3, 2)', data)), fromPairs(3, 1, pairs))
    const swapped = Buffer.from(data).swap16()
    expectSameFlow(decodeNpy(npy('>f2', 'C', '(1, 3, 2)', swapped)), fromPairs(3, 1, pairs))
  })

  const HW3 = [0, 10, 1, 9, 9, 0, 2, 12, 1, 3, 13, 1, 4, 14, 1, 5, 15, 1]
  const HALF_KNOWN = fromPairs(6, 1, [0, 10, NaN, NaN, 2, 12, 3, 13, 4, 14, 5, 15])
  test.each<[string, Uint8Array, FlowField]>([
    ['a batch of one, (1, 2, H, W)', npy('<f4', 'C', '(1, 2, 2, 3)', float32([...FLOW.data])), FLOW],
    ['a batch of a sequence of one', npy('<f4', 'C', '(1, 1, 2, 2, 3)', float32([...FLOW.data])), FLOW],
    ['a batch of one, (1, H, W, 2)', npy('<f4', 'C', '(1, 2, 3, 2)', float32(PAIRS)), FLOW],
    [
      'a batch of one in Fortran order',
      npy('<f4', 'F', '(1, 2, 3, 2)', float32([0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15])),
      FLOW,
    ],
    ['(H, W, 3), the third channel 0 where invalid', npy('<f4', 'C', '(1, 6, 3)', float32(HW3)), HALF_KNOWN],
    [
      'the same with 255 for valid, in a batch of one',
      npy('<f4', 'C', '(1, 1, 6, 3)', float32(HW3.map((value, i) => (i % 3 === 2 ? 255 * value : value)))),
      HALF_KNOWN,
    ],
    [
      '(3, H, W)',
      npy('<f4', 'C', '(3, 1, 4)', float32([1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 1, NaN])),
      fromPairs(4, 1, [1, 5, NaN, NaN, 3, 7, NaN, NaN]),
    ],
  ])('reads %s', (_, bytes, expected) => {
    expectSameFlow(decodeNpy(bytes), expected)
  })

  test('reads headers of other writers: quotes, spaces, order, long integers of Python 2', () => {
    const header = `{"shape" :(2L, 3L,2L,),\n "fortran_order":False, "descr":"<f4"}`
    const bytes = npy('', 'C', '', float32(PAIRS))
    const own = String.fromCharCode(...bytes).indexOf('}') - 9
    const other = Uint8Array.from([
      ...bytes.slice(0, 8),
      header.length,
      0,
      ...new TextEncoder().encode(header),
      ...bytes.slice(10 + own + 1),
    ])
    expectSameFlow(decodeNpy(other), FLOW)
  })

  test.each([
    ['a batch of several', '<f4', '(2, 2, 3, 1)', 'a batch of 2'],
    ['a sequence of several', '<f4', '(1, 2, 2, 3, 1)', 'a batch of 2'],
    ['one channel', '<f4', '(3, 4)', 'flow needs shape (H, W, 2)'],
    ['objects', '|O', '(2, 3, 2)', 'never unpickled'],
    ['integers', '<i4', '(2, 3, 2)', "astype('float32')"],
    ['complex numbers', '<c8', '(2, 3, 1)', 'not "<c8": save np.stack([a.real, a.imag], -1)'],
  ])('says of %s what flow needs', (_, descr, shape, reason) => {
    expect(() => decodeNpy(npy(descr, 'C', shape, float32(PAIRS)))).toThrow(reason)
  })

  test('refuses a third channel that does not tell valid pixels from invalid ones', () => {
    const depth = npy('<f4', 'C', '(1, 4, 3)', float32([1, 2, 0.5, 3, 4, 1, 1, 2, 0, 1, 2, 1]))
    expect(() => decodeNpy(depth)).toThrow('third channel holds 0.5 and 1')
    const zero = npy('<f4', 'C', '(1, 4, 3)', float32([1, 2, 0, 3, 4, 0, 5, 6, 0, 7, 8, 0]))
    expect(() => decodeNpy(zero)).toThrow('0 everywhere')
  })

  test('a field of shape (2, W, 2) is one of height 2, not of width 2', () => {
    const flow = decodeNpy(npy('<f4', 'C', '(2, 3, 2)', float32(PAIRS)))
    expect([flow.width, flow.height]).toEqual([3, 2])
  })

  test('writes what NumPy writes: the header ends in a line feed at a multiple of 64', () => {
    const bytes = encodeNpy(goldenFlow())
    const dataAt = bytes.length - 8 * 47 * 31
    expect(dataAt % 64).toBe(0)
    expect(bytes[dataAt - 1]).toBe(0x0a)
    const header = String.fromCharCode(...bytes.subarray(10, dataAt)).trimEnd()
    expect(header).toBe("{'descr': '<f4', 'fortran_order': False, 'shape': (31, 47, 2), }")
  })

  test('keeps every known motion exactly', () => {
    fc.assert(fc.property(anyFlow(anyMotion), (flow) => expectSameFlow(decodeNpy(encodeNpy(flow)), flow)))
  })

  test.each([
    ['integers', '<i4', '(2, 3, 2)'],
    ['a pickled object', '|O', '(2, 3, 2)'],
    ['three channels', '<f4', '(2, 2, 3, 1)'],
    ['one axis', '<f4', '(12,)'],
    ['an empty field', '<f4', '(0, 3, 2)'],
    ['a negative side', '<f4', '(-2, -3, 2)'],
    ['a size that no file has', '<f4', '(9007199254740992, 9007199254740992, 2)'],
  ])('refuses %s', (_, descr, shape) => {
    const bytes = npy(descr, 'C', shape, float32(PAIRS))
    expect(() => decodeNpy(bytes)).toThrow(expect.objectContaining({ code: 'ERR_FORMAT' }))
  })

  test('shows a terminal nothing that it would obey', () => {
    const bytes = npy('\x1b[31m', 'C', '(2, 3, 2)', float32(PAIRS))
    expect(() => decodeNpy(bytes)).toThrow('not "\\u001b[31m"')
  })

  test('a damaged file is a field or a format error', async () => {
    const bytes = encodeNpy(goldenFlow())
    const header = bytes.slice(0, 128)
    const hurt = fc.oneof(
      damage(bytes),
      damage(header).map((head) => Uint8Array.from([...head, ...bytes.subarray(128)])),
    )
    await fc.assert(
      fc.asyncProperty(hurt, (file) => expectFieldOrFormatError(file, decodeNpy)),
      { numRuns: 500 },
    )
  })
})
