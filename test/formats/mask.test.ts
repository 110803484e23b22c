import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { readMask, writeMap } from '../../lib/index.js'
import { writeNpyArray } from '../../lib/formats/npy-array.js'
import { tiff } from '../image/helpers.js'
import { flowError } from '../support/compare.js'
import { fixture, withFolder } from '../support/fixtures.js'
import { zipOf } from '../support/zip.js'

const png = (values: readonly number[], channels: 1 | 3 = 1) =>
  sharp(Uint8Array.from(values), { raw: { width: values.length / channels, height: 1, channels } })

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)

describe('readMask', () => {
  test.each<[string, () => Promise<Uint8Array> | Uint8Array]>([
    ['8 bits of 0 and 255', () => png([0, 255, 255, 0]).png().toBuffer()],
    ['8 bits of 0 and 1', () => png([0, 1, 1, 0]).png().toBuffer()],
    ['1 bit', () => png([0, 255, 255, 0]).png({ palette: true, colours: 2 }).toBuffer()],
    ['RGB', () => png([0, 0, 0, 0, 0, 9, 255, 255, 255, 0, 0, 0], 3).png().toBuffer()],
    [
      '16 bits of 0 and 1',
      () =>
        sharp(Uint16Array.of(0, 1, 1, 0), { raw: { width: 4, height: 1, channels: 1 } })
          .toColourspace('grey16')
          .png()
          .toBuffer(),
    ],
    ['TIFF', () => png([0, 255, 255, 0]).tiff({ compression: 'lzw' }).toBuffer()],
    ['TIFF of floats', () => tiff({ samples: [0, 1, 1, 0], width: 4, bits: 32, format: 3 })],
    ['PBM, whose 1 is black', () => Buffer.from('P1\n4 1\n1001')],
    ['PGM of 16 bits', () => Buffer.from('P2\n4 1\n65535\n0 1 65535 0')],
    ['.npy of bool', () => writeNpyArray('|b1', [1, 4], Uint8Array.of(0, 1, 1, 0))],
    ['.npy of bytes, 255 for 1', () => writeNpyArray('|u1', [1, 4], Uint8Array.of(0, 255, 1, 0))],
    [
      '.npy of int64',
      () => writeNpyArray('<i8', [1, 4], new Uint8Array(BigInt64Array.of(0n, 1n, 256n, 0n).buffer)),
    ],
    ['.npy of floats, NaN as 0', () => writeNpyArray('<f4', [1, 4], floats(0, 1, 0.5, NaN))],
    ['.npy of (1, H, W)', () => writeNpyArray('|b1', [1, 1, 4], Uint8Array.of(0, 1, 1, 0))],
    ['.npy of (H, W, 1)', () => writeNpyArray('|b1', [1, 4, 1], Uint8Array.of(0, 1, 1, 0))],
    [
      '.npz',
      () => zipOf([{ name: 'arr_0.npy', data: writeNpyArray('|b1', [1, 4], Uint8Array.of(0, 1, 1, 0)) }]),
    ],
  ])('reads %s', async (_, make) => {
    await withFolder(async (folder) => {
      const path = join(folder, 'mask')
      writeFileSync(path, await make())
      expect(await readMask(path)).toEqual({ data: Uint8Array.of(0, 1, 1, 0), width: 4, height: 1 })
    })
  })

  test('reads a Fortran-ordered array row by row, and what writeMap writes', async () => {
    await withFolder(async (folder) => {
      const map = { data: Uint8Array.of(1, 0, 0, 1, 1, 0), width: 3, height: 2 }
      for (const name of ['mask.npy', 'mask.png']) {
        await writeMap(join(folder, name), map)
        expect(await readMask(join(folder, name))).toEqual(map)
      }
      const fortran = Buffer.from(writeNpyArray('|b1', [2, 3], Uint8Array.of(1, 1, 0, 1, 0, 0)))
      fortran.write('True ', fortran.indexOf('False'))
      writeFileSync(join(folder, 'fortran.npy'), fortran)
      expect(await readMask(join(folder, 'fortran.npy'))).toEqual(map)
    })
  })

  test('refuses a JPEG, another shape, and what is neither picture nor array', async () => {
    await withFolder(async (folder) => {
      const path = join(folder, 'mask.png')
      const refused = async (content: Uint8Array | string, ...parts: string[]) => {
        writeFileSync(path, content)
        await expect(readMask(path)).rejects.toThrow(
          expect.objectContaining({ message: expect.stringContaining(path) }),
        )
        for (const part of parts)
          await expect(readMask(path)).rejects.toThrow(
            expect.objectContaining({ message: expect.stringContaining(part) }),
          )
      }
      await refused(await png([0, 255]).jpeg().toBuffer(), 'JPEG', 'not exactly 0', 'PNG')
      await refused(
        writeNpyArray('|b1', [2, 2, 2], new Uint8Array(8)),
        'a mask needs shape (H, W), not (2, 2, 2)',
      )
      await refused(writeNpyArray('|b1', [4], new Uint8Array(4)), 'a mask needs shape (H, W)')
      await refused('text', 'is text')
      copyFileSync(fixture('formats/flow_31x47.flo'), path)
      await expect(readMask(path)).rejects.toThrow(flowError('ERR_FRAME', path, 'a .flo file of flow'))
    })
  })
})
