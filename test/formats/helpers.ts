import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect } from 'vitest'
import { FlowError } from '../../lib/errors.js'
import { FlowField } from '../../lib/flow-field.js'

export const FIXTURES = new URL('../fixtures/', import.meta.url)

export function fixture(path: string): Uint8Array {
  return readFileSync(new URL(path, FIXTURES))
}

export function floats(path: string): Float32Array {
  const bytes = fixture(path)
  return new Float32Array(Uint8Array.from(bytes).buffer)
}

/** A field from pairs of x and y. */
export function fromPairs(width: number, height: number, pairs: ArrayLike<number>): FlowField {
  const flow = new FlowField(width, height)
  for (let i = 0; i < width * height; i++) {
    flow.x[i] = pairs[2 * i]!
    flow.y[i] = pairs[2 * i + 1]!
  }
  return flow
}

/** The flow that every file of fixtures/formats holds. */
export function goldenFlow(): FlowField {
  return fromPairs(47, 31, floats('formats/flow_31x47x2.f32'))
}

/** Fields of up to 24 x 24 whose components `component` makes; some pixels unknown (NaN, both components). */
export function anyFlow(component: fc.Arbitrary<number>): fc.Arbitrary<FlowField> {
  const side = fc.integer({ min: 1, max: 24 })
  const pixel = fc.oneof(
    { weight: 9, arbitrary: fc.tuple(component, component) },
    { weight: 1, arbitrary: fc.constant([NaN, NaN]) },
  )
  return fc.tuple(side, side).chain(([width, height]) =>
    fc.array(pixel, { minLength: width * height, maxLength: width * height }).map((pixels) => {
      return fromPairs(width, height, pixels.flat())
    }),
  )
}

/** Float32 values that are no marker for unknown flow anywhere. */
export const anyMotion = fc.float({
  noNaN: true,
  min: -1e9,
  max: 1e9,
  minExcluded: true,
  maxExcluded: true,
})

/** Bytes that were `bytes`, with up to 8 of them changed, or the end cut off, or something behind it. */
export function damage(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const change = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255))
  const changed = fc.array(change, { minLength: 1, maxLength: 8 }).map((changes) => {
    const copy = Uint8Array.from(bytes)
    for (const [at, value] of changes) copy[at] = value
    return copy
  })
  const cut = fc.nat(bytes.length - 1).map((length) => bytes.slice(0, length))
  const longer = fc
    .uint8Array({ minLength: 1, maxLength: 16 })
    .map((tail) => Uint8Array.from([...bytes, ...tail]))
  return fc.oneof({ weight: 6, arbitrary: changed }, { weight: 3, arbitrary: cut }, longer)
}

/** Decoding either gives a field no larger than the bytes could hold, or throws `ERR_FORMAT`. */
export async function expectFieldOrFormatError(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => FlowField | Promise<FlowField>,
): Promise<void> {
  try {
    const flow = await decode(bytes)
    expect(flow.data.byteLength).toBeLessThanOrEqual(1032 * bytes.length)
  } catch (error) {
    expect(error).toBeInstanceOf(FlowError)
    expect(error).toHaveProperty('code', 'ERR_FORMAT')
  }
}

/** Bitwise, NaN equal to NaN, 0 not to -0. */
export function expectSameFlow(actual: FlowField, expected: FlowField): void {
  expect([actual.width, actual.height]).toEqual([expected.width, expected.height])
  // Not toEqual: it takes gigabytes for a large field.
  const differs = actual.data.findIndex((value, i) => !Object.is(value, expected.data[i]))
  expect(differs).toBe(-1)
}
