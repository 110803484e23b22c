import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { type PixelMap, writeMap } from '../../lib/index.js'
import { flowError } from '../support/compare.js'
import { withFolder } from '../support/fixtures.js'

const mask: PixelMap<Uint8Array> = { width: 3, height: 2, data: Uint8Array.of(0, 1, 1, 0, 0, 1) }
const confidence: PixelMap<Float32Array> = {
  width: 3,
  height: 2,
  data: Float32Array.of(0, 0.25, 0.5, 0.75, 1, Number.NaN),
}

/** The header and the data of a NumPy file of version 1.0. */
function readNpy(path: string) {
  const bytes = readFileSync(path)
  const dataAt = 10 + bytes.readUInt16LE(8)
  expect(bytes.subarray(0, 8)).toEqual(Buffer.from('\x93NUMPY\x01\0', 'latin1'))
  expect(dataAt % 64).toBe(0)
  return { header: bytes.toString('latin1', 10, dataAt).trim(), data: bytes.subarray(dataAt) }
}

describe('writeMap', () => {
  test('writes a mask to .npy as bool of shape (H, W)', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'mask.npy')
      await writeMap(path, mask)
      const { header, data } = readNpy(path)
      expect(header).toBe("{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3), }")
      expect([...data]).toEqual([0, 1, 1, 0, 0, 1])
    }))

  test('writes a confidence to .npy as float32 of shape (H, W)', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'confidence.npy')
      await writeMap(pathToFileURL(path), confidence)
      const { header, data } = readNpy(path)
      expect(header).toBe("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }")
      const values = Array.from({ length: 6 }, (_, i) => data.readFloatLE(4 * i))
      expect(values).toEqual([0, 0.25, 0.5, 0.75, 1, Number.NaN])
    }))

  test.each([
    ['a mask', mask, [0, 255, 255, 0, 0, 255]],
    ['a confidence', confidence, [0, 64, 128, 191, 255, 0]],
  ] as const)('writes %s to .png in gray', (_, map, levels) =>
    withFolder(async (folder) => {
      const path = join(folder, 'map.PNG')
      await writeMap(path, map)
      const { data, info } = await sharp(path).greyscale().raw().toBuffer({ resolveWithObject: true })
      expect([info.width, info.height]).toEqual([3, 2])
      expect([...data]).toEqual(levels)
    }),
  )

  test('says which extensions there are, and which folder is missing', async () => {
    await expect(writeMap('map.jpg', mask)).rejects.toThrow(flowError('ERR_FORMAT', '.png, .npy', '.jpg'))
    await expect(writeMap('/no/such/folder/map.png', mask)).rejects.toThrow(flowError('ERR_IO', '/no/such'))
  })
})
