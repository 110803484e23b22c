import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FlowError } from '../../lib/errors.js'
import { decodeFlow, decodeFlo, decodeNpy, decodeNpz, decodePfmFlow } from '../../lib/formats/index.js'
import { decodeOwn } from '../../lib/image/decode.js'
import { Undecodable } from '../../lib/image/samples.js'
import { loadImage } from '../../lib/image/rgb-image.js'
import { fixture } from '../support/fixtures.js'
import { damage } from './helpers.js'

/** Files, who reads them, and how many inputs are made of each: fewer where every one goes through a decoder in C. */
const READERS: readonly [string, (bytes: Uint8Array) => unknown, number][] = [
  ['formats/flow_31x47.flo', decodeFlo, 2000],
  ['formats/crlf.pfm', decodePfmFlow, 3000],
  ['formats/batch_1chw.npy', decodeNpy, 3000],
  ['formats/hw3_valid.npy', decodeNpy, 3000],
  ['formats/flow.npz', decodeNpz, 3000],
  ['formats/dsec_128.png', decodeFlow, 1000],
  ['pictures/x.ppm', decodeOwn, 3000],
  ['pictures/x.bmp', decodeOwn, 3000],
  ['pictures/float01.tif', loadImage, 500],
  ['pictures/no_eoi.jpg', loadImage, 500],
]

describe('every reader reads a damaged file or refuses it with one short line of text', () => {
  test.each(READERS)('%s', { tags: ['slow'], timeout: 120_000 }, async (name, read, numRuns) => {
    const file = readFileSync(fixture(name))
    // Half of the changes are in the first bytes, where a format's structure is.
    const head = Math.min(160, file.length)
    const hurtHead = damage(file.subarray(0, head)).map((start) =>
      Buffer.concat([start, file.subarray(head)]),
    )
    const check = async (bytes: Uint8Array): Promise<void> => {
      try {
        await read(bytes)
      } catch (error) {
        expect(error instanceof FlowError || error instanceof Undecodable, String(error)).toBe(true)
        expect((error as Error).message).toMatch(/^[^\p{Cc}]{1,400}$/u)
        expect((error as Error).message).toMatch(
          /[:,] (get|fetch|save|give|write|convert|read|unpack|rename) |\.\.\.$/,
        )
      }
    }
    await fc.assert(fc.asyncProperty(fc.oneof(damage(file), hurtHead), check), { numRuns })
  })
})
