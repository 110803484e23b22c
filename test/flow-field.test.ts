import { describe, expect, test } from 'vitest'
import { decodeNpy, encodeNpy, FlowField, type FlowError } from '../lib/index.js'

describe('a field and an array (height, width, 2)', () => {
  const pairs = Float32Array.of(1, -1, 2, -2, 3, -3, 4, -4, NaN, NaN, 6, 1e10)
  const field = FlowField.fromInterleaved(3, 2, pairs)

  test('are made from each other', () => {
    expect([field.width, field.height]).toEqual([3, 2])
    expect(field.data).toEqual(Float32Array.of(1, 2, 3, 4, NaN, 6, -1, -2, -3, -4, NaN, 1e10))
    expect(field.toInterleaved()).toEqual(pairs)
  })

  test('share no memory', () => {
    const values = Float32Array.of(1, 2)
    const flow = FlowField.fromInterleaved(1, 1, values)
    values[0] = 9
    flow.toInterleaved()[1] = 9
    expect([...flow.data]).toEqual([1, 2])
  })

  test('the array is that of NumPy', () => {
    const known = FlowField.fromInterleaved(2, 1, Float32Array.of(1, 2, 3, 4))
    const bytes = encodeNpy(known)
    expect(new Float32Array(bytes.slice(-16).buffer)).toEqual(known.toInterleaved())
    expect(decodeNpy(bytes)).toEqual(known)
  })

  test.each<[string, () => unknown, string]>([
    [
      'too few values',
      () => FlowField.fromInterleaved(2, 2, new Float32Array(7)),
      'Float32Array of 8 values',
    ],
    [
      'doubles',
      () => FlowField.fromInterleaved(1, 1, new Float64Array(2) as never),
      'Float32Array of 2 values',
    ],
    [
      'a side of half a pixel',
      () => FlowField.fromInterleaved(0.5, 4, new Float32Array(4)),
      'positive integer',
    ],
    // All values of the array in a message would be megabytes.
    ['the array first', () => new FlowField(new Float32Array(8) as never, 2, 2 as never), 'an object x 2'],
  ])('%s make none', (_, make, reason) => {
    let error: unknown
    try {
      make()
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'ERR_ARGUMENT' } satisfies Partial<FlowError>)
    expect((error as Error).message).toContain(reason)
  })
})
