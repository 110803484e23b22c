import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { loadImage, type RgbImage, saveImage } from '../../lib/index.js'
import { flowError } from '../support/compare.js'
import { withFolder } from '../support/fixtures.js'

/** Red above blue: what a format that halves the colours' resolution would mix. */
const STRIPES: RgbImage = {
  width: 16,
  height: 16,
  data: Uint8Array.from({ length: 768 }, (_, i) => {
    const red = Math.floor(i / 48) % 2 === 0
    return [red ? 255 : 0, 0, red ? 0 : 255][i % 3]!
  }),
}

describe('saveImage', () => {
  test.each([
    ['.png', 'png', 0],
    ['.PNG', 'png', 0],
    ['.tif', 'tiff', 0],
    ['.tiff', 'tiff', 0],
    ['.gif', 'gif', 0],
    ['.jpg', 'jpeg', 12],
    ['.jpeg', 'jpeg', 12],
    ['.webp', 'webp', 0],
    ['.avif', 'heif', 40],
  ] as const)('writes %s as its extension says', async (extension, format, worst) => {
    await withFolder(async (folder) => {
      const path = join(folder, `stripes${extension}`)
      await saveImage(path, STRIPES)
      expect((await sharp(path).metadata()).format).toBe(format)
      const { width, height, data } = await loadImage(path)
      expect([width, height]).toEqual([16, 16])
      const difference = Math.max(...data.map((value, i) => Math.abs(value - STRIPES.data[i]!)))
      expect(difference).toBeLessThanOrEqual(worst)
    })
  })

  test('refuses an extension that it does not know, with those that it does, and what a format cannot hold', async () => {
    await withFolder(async (folder) => {
      await expect(saveImage(join(folder, 'a.bmp'), STRIPES)).rejects.toThrow(
        flowError('ERR_FRAME', 'a.bmp', '.png, .jpg, .jpeg, .webp'),
      )
      const wide = { width: 20_000, height: 1, data: new Uint8Array(60_000) }
      await expect(saveImage(join(folder, 'a.webp'), wide)).rejects.toThrow(
        flowError('ERR_FRAME', 'a.webp', '20000 x 1', 'try .png'),
      )
      expect(readdirSync(folder)).toEqual([])
    })
  })
})
