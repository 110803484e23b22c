import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadImage } from '../../lib/index.js'
import { flowError } from '../support/compare.js'
import { fixture } from '../support/fixtures.js'
import { survivesDamage, text, wanted } from './helpers.js'

/** The RGB values of a picture, gray ones once. */
async function levels(bytes: Uint8Array): Promise<number[]> {
  const { data } = await loadImage(bytes)
  const pixels = Array.from({ length: data.length / 3 }, (_, i) => [...data.subarray(3 * i, 3 * i + 3)])
  return pixels.every(([r, g, b]) => r === g && g === b) ? pixels.map(([r]) => r!) : [...data]
}

describe('PPM, PGM and PBM', () => {
  test('a PPM, as FlyingChairs has, is what an independent reader makes of it', async () => {
    expect(await loadImage(fixture('pictures/x.ppm'))).toEqual(wanted('pictures/x.want'))
  })

  test.each<[string, Uint8Array, number[]]>([
    ['P1, digits without spaces', text('P1\n3 2\n101\n0 1 0\n'), [0, 255, 0, 255, 0, 255]],
    ['P2', text('P2 2 2 255\n0 10\n200   255'), [0, 10, 200, 255]],
    ['P2 of other levels, rounded', text('P2\n3 1\n7\n0 3 7\n'), [0, 109, 255]],
    ['P2 of 16 bits', text('P2\n3 1\n65535\n0 32768 65535'), [0, 128, 255]],
    ['P3', text('P3\n2 1\n255\n1 2 3 4 5 6\n'), [1, 2, 3, 4, 5, 6]],
    [
      'P4, rows padded to bytes',
      text('P4\n9 2\n', [0b10101010, 0b10000000, 0, 0]),
      [0, 255, 0, 255, 0, 255, 0, 255, 0, ...Array(9).fill(255)],
    ],
    ['P5', text('P5\n2 1\n255\n', [7, 255]), [7, 255]],
    ['P5 of 16 bits, the high byte first', text('P5\n2 1\n65535\n', [0xff, 0xff, 1, 1]), [255, 1]],
    ['P5 of 12 bits', text('P5\n2 1\n4095\n', [0x0f, 0xff, 0, 16]), [255, 1]],
    ['P6', text('P6\n1 2\n255\n', [1, 2, 3, 4, 5, 6]), [1, 2, 3, 4, 5, 6]],
    ['P6 of 16 bits', text('P6\n1 1\n65535\n', [0x80, 0, 0x40, 0, 0, 0]), [128, 64, 0]],
    [
      'P7, whose alpha is dropped',
      text(
        'P7\n# PAM\nHEIGHT 1\nWIDTH 2\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n',
        [1, 2, 3, 9, 4, 5, 6, 9],
      ),
      [1, 2, 3, 4, 5, 6],
    ],
    [
      'P7 of bits, whose 1 is white',
      text('P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 1\nENDHDR\n', [0, 1]),
      [0, 255],
    ],
    [
      'P7 of gray with alpha in 16 bits',
      text('P7\nWIDTH 1\nHEIGHT 1\nDEPTH 2\nMAXVAL 65535\nENDHDR\n', [128, 0, 7, 7]),
      [128],
    ],
    ['comments', text('P5\n# made by\n#\n2 # width\n 1\n# largest\n255\n', [7, 8]), [7, 8]],
    ['tabs and more blanks', text('P5\t2\v 1\f\r\n255 ', [7, 8]), [7, 8]],
    ['lines that end in CRLF', text('P5\r\n2 1\r\n255\r\n', [7, 8]), [7, 8]],
    ['a comment behind the last number', text('P5\n2 1\n255 # here\n', [7, 8]), [7, 8]],
    ['a first sample that is a line feed', text('P5\n2 1\n255\n', [10, 8]), [10, 8]],
    ['first samples that are CRLF', text('P5\n2 1\n255\n', [13, 10]), [13, 10]],
    ['a first sample that is a #', text('P5\n2 1\n255\n', [35, 10]), [35, 10]],
    ['two pictures: the first', text('P5\n1 1\n255\n', [9], [...Buffer.from('P5\n1 1\n255\n'), 3]), [9]],
  ])('reads %s', async (_, bytes, expected) => {
    expect(await levels(bytes)).toEqual(expected)
  })

  test.each<[string, Uint8Array, string]>([
    [
      'cut short',
      text('P6\n4 4\n255\n', [1, 2, 3]),
      'its header says 4 x 4, which takes at least 48 bytes, but only 3 follow',
    ],
    ['cut short as text', text('P3\n1 1\n255\n100 200'), '2 samples, its header asks for 3'],
    ['no digits', text('P2\n1 2\n255\nx y z'), 'not all numbers'],
    ['a sample above the largest', text('P5\n1 1\n10\n', [11]), 'its header allows up to 10'],
    ['a largest value above 16 bits', text('P5\n1 1\n65536\n', [1, 1]), '1 to 65535'],
    ['no size', text('P5\n0 4\n255\n', [1]), '0 x 4'],
    ['a size beyond reason', text('P1\n999999999 999999999\n1'), '999999999 x 999999999'],
    ['a PAM without width', text('P7\nHEIGHT 1\nDEPTH 1\nMAXVAL 1\nENDHDR\n', [1]), 'no WIDTH'],
    ['a PAM of 5 channels', text('P7\nWIDTH 1\nHEIGHT 1\nDEPTH 5\nMAXVAL 1\nENDHDR\n', [1]), '5 channels'],
    [
      'a PAM that does not say RGB, as OpenCV writes BGR',
      text('P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nENDHDR\n', [1, 2, 3]),
      'their order is unknown',
    ],
    ['no header', text('P6 hello\n'), 'header is damaged'],
  ])('refuses %s, and says so', async (_, bytes, reason) => {
    await expect(loadImage(bytes)).rejects.toThrow(flowError('ERR_FRAME', reason))
  })

  test('a damaged file is a picture or an ERR_FRAME of one short line', async () => {
    const files = [
      readFileSync(fixture('pictures/x.ppm')).subarray(0, 2000),
      text('P3 # x\n2 2\n300\n1 2 3 4 5 6 7 8 9 10 11 12\n'),
      text('P1\n4 2\n0110\n1001'),
      text('P4\n17 2\n', [1, 2, 3, 4, 5, 6]),
      text('P5\n3 1\n65535\n', [1, 2, 3, 4, 5, 6]),
      text('P7\nWIDTH 1\nHEIGHT 2\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n', [1, 2, 3, 4, 5, 6]),
    ]
    for (const file of files) await survivesDamage(file)
  })
})
