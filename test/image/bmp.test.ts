import { describe, expect, test } from 'vitest'
import { loadImage } from '../../lib/index.js'
import { flowError } from '../support/compare.js'
import { fixture } from '../support/fixtures.js'
import { survivesDamage, wanted } from './helpers.js'

interface Bmp {
  readonly width: number
  /** Negative: rows from the top. */
  readonly height: number
  readonly bits: number
  readonly compression?: number
  /** Bytes of the header behind the file's; 12 is OS/2's. */
  readonly header?: number
  readonly masks?: readonly number[]
  /** Blue, green, red of each colour. */
  readonly palette?: readonly (readonly [number, number, number])[]
  readonly pixels: readonly number[]
}

function bmp({
  width,
  height,
  bits,
  compression = 0,
  header = 40,
  masks = [],
  palette = [],
  pixels,
}: Bmp): Buffer {
  const os2 = header === 12
  const paletteBytes = palette.flatMap((color) => (os2 ? [...color] : [...color, 0]))
  const inside = header >= 52 ? 0 : 4 * masks.length
  const start = Buffer.alloc(14 + header + inside)
  const pixelsAt = start.length + paletteBytes.length
  start.write('BM')
  start.writeUInt32LE(pixelsAt, 10)
  start.writeUInt32LE(header, 14)
  if (os2) {
    start.writeUInt16LE(width, 18)
    start.writeUInt16LE(height, 20)
    start.writeUInt16LE(bits, 24)
  } else {
    start.writeInt32LE(width, 18)
    start.writeInt32LE(height, 22)
    start.writeUInt16LE(bits, 28)
    start.writeUInt32LE(compression, 30)
    start.writeUInt32LE(palette.length, 46)
    masks.forEach((mask, i) => start.writeUInt32LE(mask, 54 + 4 * i))
  }
  return Buffer.concat([start, Buffer.from(paletteBytes), Buffer.from(pixels)])
}

/** A run-length encoded picture of 5 x 2. */
function rle(bits: 4 | 8, pixels: readonly number[]): Buffer {
  return bmp({ width: 5, height: 2, bits, compression: bits === 8 ? 1 : 2, palette: PALETTE, pixels })
}

const BLACK = [0, 0, 0] as const
const RED = [0, 0, 255] as const
const PALETTE = [BLACK, RED, [1, 2, 3] as const, [255, 255, 255] as const]
/** What a picture of 2 x 2, red and white above black and (3, 2, 1), decodes to. */
const SQUARE = [255, 0, 0, 255, 255, 255, 0, 0, 0, 3, 2, 1]
const ROW_ABOVE = [0, 0, 255, 255, 255, 255, 0, 0]
const ROW_BELOW = [0, 0, 0, 1, 2, 3, 0, 0]

describe('BMP', () => {
  test('24 bits are what an independent reader makes of them', async () => {
    expect(await loadImage(fixture('pictures/x.bmp'))).toEqual(wanted('pictures/x.want'))
  })

  test.each<[string, Bmp, number[]]>([
    [
      '24 bits, from the bottom up',
      { width: 2, height: 2, bits: 24, pixels: [...ROW_BELOW, ...ROW_ABOVE] },
      SQUARE,
    ],
    [
      '24 bits, from the top down',
      { width: 2, height: -2, bits: 24, pixels: [...ROW_ABOVE, ...ROW_BELOW] },
      SQUARE,
    ],
    [
      'the last padding missing',
      { width: 2, height: -2, bits: 24, pixels: [...ROW_ABOVE, ...ROW_BELOW.slice(0, 6)] },
      SQUARE,
    ],
    [
      '8 bits with a short palette',
      { width: 2, height: 2, bits: 8, palette: PALETTE, pixels: [0, 2, 0, 0, 1, 3, 0, 0] },
      SQUARE,
    ],
    [
      '4 bits',
      { width: 2, height: 2, bits: 4, palette: PALETTE, pixels: [0x02, 0, 0, 0, 0x13, 0, 0, 0] },
      SQUARE,
    ],
    [
      '1 bit',
      { width: 10, height: 1, bits: 1, palette: [BLACK, RED], pixels: [0x80, 0x40, 0, 0] },
      [255, 0, 0, ...Array(24).fill(0), 255, 0, 0],
    ],
    [
      '8 bits with the header of OS/2',
      { width: 2, height: 2, bits: 8, header: 12, palette: PALETTE, pixels: [0, 2, 0, 0, 1, 3, 0, 0] },
      SQUARE,
    ],
    [
      '16 bits of 5 each',
      { width: 2, height: 1, bits: 16, pixels: [0x00, 0x7c, 0x1f, 0x00] },
      [255, 0, 0, 0, 0, 255],
    ],
    [
      '16 bits of 5, 6 and 5',
      {
        width: 2,
        height: 1,
        bits: 16,
        compression: 3,
        masks: [0xf800, 0x7e0, 0x1f],
        pixels: [0xe0, 0x07, 0x00, 0xf8],
      },
      [0, 255, 0, 255, 0, 0],
    ],
    ['32 bits', { width: 1, height: -1, bits: 32, pixels: [1, 2, 3, 4] }, [3, 2, 1]],
    [
      '32 bits with masks in a longer header, red in the lowest byte',
      {
        width: 1,
        height: 1,
        bits: 32,
        compression: 3,
        header: 124,
        masks: [0xff, 0xff00, 0xff0000, 0xff000000],
        pixels: [1, 2, 3, 4],
      },
      [1, 2, 3],
    ],
    [
      '32 bits with red in the highest byte',
      {
        width: 1,
        height: 1,
        bits: 32,
        compression: 3,
        masks: [0xff000000, 0xff0000, 0xff00],
        pixels: [4, 3, 2, 200],
      },
      [200, 2, 3],
    ],
  ])('reads %s', async (_, picture, expected) => {
    expect([...(await loadImage(bmp(picture))).data]).toEqual(expected)
  })

  /** By what each pixel is in the palette: the upper row, then the lower one. */
  test.each<[string, Buffer, string]>([
    ['RLE8', rle(8, [3, 1, 2, 2, 0, 0, 5, 3, 0, 1]), '33333 11122'],
    [
      'RLE8 with values as they are, padded',
      rle(8, [0, 3, 1, 2, 3, 0, 2, 1, 0, 0, 0, 5, 3, 2, 1, 0, 1, 0, 0, 1]),
      '32101 12311',
    ],
    ['RLE8 with a step, and an end before all pixels', rle(8, [1, 1, 0, 2, 2, 1, 2, 3, 0, 1]), '00033 10000'],
    ['RLE8 without a mark at the end', rle(8, [5, 1, 0, 0, 5, 2]), '22222 11111'],
    ['RLE4', rle(4, [5, 0x12, 0, 0, 4, 0x33, 1, 0x20, 0, 1]), '33332 12121'],
    [
      'RLE4 with values as they are, padded',
      rle(4, [0, 5, 0x12, 0x31, 0x20, 0, 0, 0, 0, 3, 0x32, 0x10, 2, 0x22, 0, 1]),
      '32122 12312',
    ],
  ])('reads %s', async (_, bytes, indices) => {
    const colors = [...indices.replace(' ', '')].flatMap((i) => [...PALETTE[Number(i)]!].reverse())
    expect([...(await loadImage(bytes)).data]).toEqual(colors)
  })

  test.each<[string, Buffer, string]>([
    [
      'a JPEG inside',
      bmp({ width: 1, height: 1, bits: 24, compression: 4, pixels: [1, 1] }),
      'JPEG compression',
    ],
    [
      'RLE8 of 4 bits',
      bmp({ width: 1, height: 1, bits: 4, compression: 1, palette: PALETTE, pixels: [1, 1] }),
      'RLE8 compression',
    ],
    ['runs that end early', rle(8, [1, 1, 0, 0]), 'its runs end in row 2 of 2'],
    ['a run that is cut', rle(8, [0, 5, 1, 2]), 'its runs end in row 1'],
    ['a run beyond its row', rle(8, [6, 1, 0, 1]), 'a run leaves its row 1'],
    ['a step out of the picture', rle(8, [0, 2, 0, 9, 1, 1]), 'a step leaves the picture'],
    [
      'runs of a size that they cannot fill',
      bmp({ width: 9999, height: 9999, bits: 8, compression: 1, palette: PALETTE, pixels: [0, 1] }),
      '2 bytes of runs cannot be 9999 x 9999 pixels',
    ],
    [
      'one that is cut short',
      bmp({ width: 2, height: 2, bits: 24, pixels: ROW_BELOW }),
      '2 x 2 of 24 bits, which takes 68 bytes',
    ],
    ['5 bits', bmp({ width: 1, height: 1, bits: 5, pixels: [1] }), '5 bits a pixel'],
    ['no width', bmp({ width: 0, height: 1, bits: 24, pixels: [1, 2, 3] }), '0 x 1'],
    [
      'a size beyond reason',
      bmp({ width: 2 ** 31 - 1, height: -(2 ** 31), bits: 1, pixels: [1] }),
      '2147483647 x 2147483648',
    ],
    [
      'masks with holes',
      bmp({ width: 1, height: 1, bits: 16, compression: 3, masks: [5, 2, 8], pixels: [1, 1] }),
      'bit masks',
    ],
  ])('refuses %s, and says so', async (_, bytes, reason) => {
    await expect(loadImage(bytes)).rejects.toThrow(flowError('ERR_FRAME', 'BMP', reason))
  })

  test('a damaged file is a picture or an ERR_FRAME of one short line', async () => {
    const files = [
      bmp({ width: 2, height: 2, bits: 24, pixels: [...ROW_BELOW, ...ROW_ABOVE] }),
      bmp({ width: 2, height: 2, bits: 4, palette: PALETTE, pixels: [0x02, 0, 0, 0, 0x13, 0, 0, 0] }),
      bmp({
        width: 1,
        height: 1,
        bits: 32,
        compression: 3,
        header: 124,
        masks: [0xff, 0xff00, 0xff0000, 0],
        pixels: [1, 2, 3, 4],
      }),
      bmp({ width: 2, height: 2, bits: 8, header: 12, palette: PALETTE, pixels: [0, 2, 0, 0, 1, 3, 0, 0] }),
    ]
    for (const file of [...files, rle(8, [0, 3, 1, 2, 3, 0, 2, 1, 0, 0, 5, 1, 0, 1])])
      await survivesDamage(file)
  })
})
