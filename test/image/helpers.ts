import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect } from 'vitest'
import { FlowError } from '../../lib/errors.js'
import { loadImage } from '../../lib/index.js'
import { damage } from '../formats/helpers.js'
import { fixture } from '../support/fixtures.js'

/** A picture that an independent reader decoded: width and height as uint32, then RGB. */
export function wanted(name: string): { width: number; height: number; data: Uint8Array } {
  const bytes = readFileSync(fixture(name))
  return {
    width: bytes.readUInt32LE(0),
    height: bytes.readUInt32LE(4),
    data: Uint8Array.from(bytes.subarray(8)),
  }
}

export function text(header: string, ...body: readonly (number[] | Uint8Array)[]): Uint8Array {
  return Buffer.concat([Buffer.from(header, 'latin1'), ...body.map((part) => Buffer.from(part))])
}

/** A file that is damaged anywhere is a picture or an `ERR_FRAME` whose message is one short line of text. */
export async function survivesDamage(file: Uint8Array): Promise<void> {
  const survives = async (bytes: Uint8Array): Promise<void> => {
    try {
      const { data, width, height } = await loadImage(bytes)
      expect(data).toHaveLength(3 * width * height)
    } catch (error) {
      expect(error).toBeInstanceOf(FlowError)
      expect(error).toHaveProperty('code', 'ERR_FRAME')
      expect((error as FlowError).message).toMatch(/^[^\p{Cc}]{1,400}$/u)
    }
  }
  await fc.assert(fc.asyncProperty(damage(file), survives), { numRuns: 300 })
}

export interface Tiff {
  readonly samples: readonly number[]
  readonly bits: 16 | 32 | 64
  /** 1: unsigned, 2: with a sign, 3: floats. */
  readonly format: 1 | 2 | 3
  /** Pixels. Default 1. */
  readonly width?: number
}

/** A little-endian TIFF of one row. */
export function tiff({ samples, bits, format, width = 1 }: Tiff): Buffer {
  const channels = samples.length / width
  const data = Buffer.alloc(samples.length * (bits / 8))
  samples.forEach((value, i) => {
    if (format !== 3 || bits === 16) data.writeUIntLE(value, i * (bits / 8), bits / 8)
    else if (bits === 32) data.writeFloatLE(value, 4 * i)
    else data.writeDoubleLE(value, 8 * i)
  })
  const short = (tag: number, values: readonly number[]) => ({ tag, type: 3, values })
  const repeat = (value: number) => Array<number>(channels).fill(value)
  const tags = [
    short(256, [width]),
    short(257, [1]),
    short(258, repeat(bits)),
    short(259, [1]),
    short(262, [channels === 1 ? 1 : 2]),
    { tag: 273, type: 4, values: [512] },
    short(277, [channels]),
    short(278, [1]),
    { tag: 279, type: 4, values: [data.length] },
    ...(channels === 4 ? [short(338, [2])] : []),
    short(339, repeat(format)),
  ]
  const file = Buffer.alloc(512)
  file.write('II*\0\x08\0\0\0', 'latin1')
  file.writeUInt16LE(tags.length, 8)
  let beyond = 256
  tags.forEach(({ tag, type, values }, i) => {
    const at = 10 + 12 * i
    file.writeUInt16LE(tag, at)
    file.writeUInt16LE(type, at + 2)
    file.writeUInt32LE(values.length, at + 4)
    const size = type === 3 ? 2 : 4
    const inside = size * values.length <= 4
    const place = inside ? at + 8 : beyond
    if (!inside) {
      file.writeUInt32LE(beyond, at + 8)
      beyond += size * values.length
    }
    values.forEach((value, j) => file.writeUIntLE(value, place + size * j, size))
  })
  return Buffer.concat([file, data])
}
