import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readBackbone } from '../../lib/checkpoint/backbone.js'
import { readHead } from '../../lib/checkpoint/head.js'
import { memorySource } from '../../lib/checkpoint/source.js'
import type { StoredTensor } from '../../lib/checkpoint/tensor.js'
import { readWeight } from '../../lib/checkpoint/values.js'
import { fromHalf, toBfloat16, toHalf } from '../../lib/support/half.js'
import { sameBits } from '../support/compare.js'
import { fixture, refusal, scratch, valuesOf, withFile } from './helpers.js'

const folder = scratch()

describe('the values of a weight', () => {
  it.each(['head.safetensors', 'head.pth', 'head_fp16.pth', 'head_bf16.pth', 'head_legacy.pth'])(
    'of %s are those in the file',
    (name) => {
      withFile(fixture(`tiny/${name}`), (file) => {
        for (const weight of readHead(file).weights)
          expect(sameBits(readWeight(weight), valuesOf(weight)), weight.name).toBe(true)
      })
    },
  )

  it("are joined from Hugging Face's q, k and v, with zeros for the bias of k", () => {
    withFile(fixture('tiny/backbone_hf.safetensors'), (file) => {
      const { weights } = readBackbone(file, { config: fixture('tiny/config_hf.json') })
      for (const weight of weights)
        expect(sameBits(readWeight(weight), valuesOf(weight)), weight.name).toBe(true)
    })
  })

  it.each([
    { strides: [1, 2, 6], negated: false, expected: [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11] },
    { strides: [0, 1, 3], negated: true, expected: [-0, -3, -1, -4, -2, -5, -0, -3, -1, -4, -2, -5] },
  ])('with strides $strides are gathered in the order of rows', ({ strides, negated, expected }) => {
    const file = memorySource(new Uint8Array(Float32Array.from({ length: 12 }, (_, i) => i).buffer))
    const tensor: StoredTensor = {
      name: 'x',
      dtype: 'float32',
      shape: [2, 3, 2],
      strides,
      file,
      offset: 0,
      negated,
    }
    const values = readWeight({ name: 'x', shape: tensor.shape, parts: [{ file, tensor }] })
    expect([...values]).toEqual(expected)
  })

  it.each([
    ['NaN', NaN],
    ['infinity', -Infinity],
  ])('are refused if one is %s, with its place', (name, value) => {
    const source = fixture('tiny/head.safetensors')
    const bytes = readFileSync(source)
    const at = withFile(source, ({ tensors }) => tensors.get('proj2.weight')!.offset)
    bytes.writeFloatLE(value, at + 4 * (64 * 3 + 5))
    const path = join(folder, `${name}.safetensors`)
    writeFileSync(path, bytes)
    withFile(path, (file) => {
      const weight = readHead(file).weights.find((each) => each.name === 'proj2.weight')!
      const { message } = refusal(() => readWeight(weight), 'ERR_CHECKPOINT_TENSOR')
      expect(message).toContain(`tensor "proj2.weight" holds ${name} at [3, 5, 0, 0]`)
    })
  })
})

describe('float16', () => {
  it('widens and rounds back to the same bits, all of them', () => {
    const bits = Uint16Array.from({ length: 0x10000 }, (_, i) => i).filter(
      (each) => (each & 0x7fff) <= 0x7c00,
    )
    expect(Buffer.from(toHalf(fromHalf(bits)).buffer).equals(Buffer.from(bits.buffer))).toBe(true)
    expect([...fromHalf(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00))]).toEqual([
      1,
      -2,
      2 ** -24,
      65504,
      Infinity,
    ])
  })

  it('is the nearest, and the even one of two that are as near', () => {
    const finite = fc.float({ min: -65504, max: 65504, noNaN: true })
    fc.assert(
      fc.property(finite, (value) => {
        const [half] = toHalf(Float32Array.of(value))
        const neighbours = Uint16Array.of(half! - 1, half!, half! + 1)
        const [below, here, above] = [...fromHalf(neighbours)].map((each) => Math.abs(each - value))
        const ties = [below, above].filter((other) => other === here).length
        return (
          [below, above].every((other) => Number.isNaN(other) || here! <= other!) &&
          (ties === 0 || half! % 2 === 0)
        )
      }),
    )
  })

  it('is infinity for what rounds to 65520 or more', () => {
    expect([...toHalf(Float32Array.of(65519.9, 65520, -1e30))]).toEqual([0x7bff, 0x7c00, 0xfc00])
  })
})

it('bfloat16 rounds to the nearest, and to the even one of two', () => {
  const values = Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, -3.1415927)
  expect([...toBfloat16(values)]).toEqual([1, 1, 1 + 2 ** -6, 1 + 2 ** -7, -3.140625])
})
