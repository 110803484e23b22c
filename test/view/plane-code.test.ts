import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { packPlane, unpackPlane } from '../../lib/cli/view/plane-code.js'

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const small = fc.integer({ min: -300, max: 300 })

describe('the code of planes', () => {
  test.each([
    ['any integers of 32 bits', int32],
    ['small integers', small],
  ])('keeps every value of %s', (_, value) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        fc.infiniteStream(value),
        (columns, rows, values) => {
          const plane = Int32Array.from(values.take(columns * rows))
          expect(unpackPlane(packPlane(plane, columns), columns)).toEqual(plane)
        },
      ),
    )
  })

  test('keeps every known value beside unknown ones', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(small, fc.boolean()), { minLength: 1, maxLength: 60 }), (pixels) => {
        const plane = Int32Array.from(pixels, ([value]) => value)
        const unknown = Uint8Array.from(pixels, ([, known]) => (known ? 0 : 1))
        const back = unpackPlane(packPlane(plane, 7, unknown), 7)
        const known = (values: Int32Array) => values.filter((_, i) => unknown[i] === 0)
        expect(known(back)).toEqual(known(plane))
      }),
    )
  })

  test('takes one byte per value where motion changes slowly, however far it is', () => {
    const ramp = Int32Array.from(
      { length: 400 },
      (_, i) => 1_000_000 + 30 * (i % 20) + 50 * Math.floor(i / 20),
    )
    const flat = packPlane(
      ramp.map((value) => value - 1_000_000),
      20,
    )
    expect(flat.bytes).toBe(1)
    expect(packPlane(Int32Array.of(1_000_000, 1_000_001), 2).bytes).toBe(3)
  })
})
