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
