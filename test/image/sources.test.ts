import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { runInNewContext } from 'node:vm'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { loadImage, readFlow, readMask, saveImage } from '../../lib/index.js'
import { flowError, largestDifference } from '../support/compare.js'
import { fixture, withFolder } from '../support/fixtures.js'
import { survivesDamage, type Tiff, tiff, wanted } from './helpers.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PPM = fixture('pictures/x.ppm')

describe('TIFF', () => {
  test('gray floats from 0 to 1 are spread over 0 to 255', async () => {
    const { width, height, data } = await loadImage(fixture('pictures/float01.tif'))
    expect({ width, height, data: Uint8Array.from(data) }).toEqual(wanted('pictures/float01.tif.want'))
  })

  test.each([
    ['RGB', [0, 0.5, 1], [0, 128, 255]],
    ['RGBA, whose alpha is dropped', [0.2, 0.4, 0.6, 0.5], [51, 102, 153]],
    ['gray', [0.5], [128, 128, 128]],
    ['hardly out of range, by rounding', [1.0000001], [255, 255, 255]],
  ])('floats of %s are taken without a gamma curve', async (_, samples, expected) => {
    expect([...(await loadImage(tiff({ samples, bits: 32, format: 3 }))).data]).toEqual(expected)
  })

  test.each<[string, Tiff, string]>([
    ['floats from 0 to 255', { samples: [17, 200, 3], bits: 32, format: 3 }, 'floats outside 0 to 1'],
    ['a float below 0', { samples: [-0.5], bits: 32, format: 3 }, 'floats outside 0 to 1'],
    ['NaN', { samples: [NaN], bits: 32, format: 3 }, 'floats outside 0 to 1'],
    ['integers of 32 bits', { samples: [7], bits: 32, format: 1 }, 'unsigned integers of 8 and 16 bits'],
    [
      'integers with a sign',
      { samples: [7, 8, 9], bits: 16, format: 2 },
      'unsigned integers of 8 and 16 bits',
    ],
    ['floats of 16 bits', { samples: [7], bits: 16, format: 3 }, 'float32 from 0 to 1'],
    ['floats of 64 bits', { samples: [7], bits: 64, format: 3 }, 'cannot be decoded'],
  ])('%s are refused, and the message says what is read', async (_, picture, reason) => {
    await expect(loadImage(tiff(picture))).rejects.toThrow(flowError('ERR_FRAME', 'TIFF', reason))
  })

  test('16 bits are the 8 highest of them', async () => {
    expect([...(await loadImage(tiff({ samples: [0, 0x8000, 0xffff], bits: 16, format: 1 }))).data]).toEqual([
      0, 128, 255,
    ])
  })

  test('a damaged file is a picture or a refusal', () =>
    survivesDamage(tiff({ samples: [0, 0.5, 1], bits: 32, format: 3 })))
})

describe('faults that decoders recover from', () => {
  const JUNK = fixture('pictures/extra_before_marker.jpg')
  const NO_END = fixture('pictures/no_eoi.jpg')

  test('junk before a marker and a missing end are read over, and told', async () => {
    const clean = readFileSync(NO_END)
    const { data } = await loadImage(Buffer.concat([clean, Buffer.of(0xff, 0xd9)]))
    for (const [path, fault] of [
      [JUNK, '18 extraneous bytes before marker 0xda'],
      [NO_END, 'premature end of JPEG image'],
    ] as const) {
      const image = await loadImage(path)
      expect(image.fault).toContain(fault)
      expect(largestDifference(image.data, data)).toBe(0)
    }
  })

  test('a JPEG that ends in the middle keeps its upper half', async () => {
    const file = readFileSync(JUNK)
    const whole = await loadImage(JUNK)
    const half = await loadImage(file.subarray(0, Math.floor(0.6 * file.length)))
    expect(half.fault).toContain('premature end')
    const upper = 3 * half.width * 16
    expect(largestDifference(half.data.subarray(0, upper), whole.data.subarray(0, upper))).toBe(0)
  })

  test('a PNG whose checksum is wrong is read, one whose pixels are not all there is refused', async () => {
    const png = await sharp(PPM_PIXELS, { raw: { width: 2, height: 2, channels: 3 } })
      .png()
      .toBuffer()
    const idat = png.indexOf('IDAT')
    const checksum = idat + 4 + png.readUInt32BE(idat - 4)
    const wrong = Buffer.from(png)
    wrong.writeUInt32BE(1, checksum)
    const image = await loadImage(wrong)
    expect([...image.data]).toEqual([...PPM_PIXELS])
    expect(image.fault).toMatch(/.+/)
    const cut = Buffer.concat([png.subarray(0, checksum - 9)])
    await expect(loadImage(cut)).rejects.toThrow(
      flowError('ERR_FRAME', 'a PNG picture that cannot be decoded'),
    )
  })

  test('are refused by a strict reader, which takes a file without faults', async () => {
    for (const path of [JUNK, NO_END])
      await expect(loadImage(path, { strict: true })).rejects.toThrow(
        flowError('ERR_FRAME', path, 'with a fault'),
      )
    expect((await loadImage(fixture('tiny/frame1.png'), { strict: true })).fault).toBeUndefined()
  })
})

const PPM_PIXELS = Uint8Array.of(1, 2, 3, 40, 50, 60, 7, 8, 9, 100, 110, 120)

const PIXEL = { width: 1, height: 1, data: new Uint8Array(3) }

describe('a picture', () => {
  test('is named by a path, a file: URL as object or as text, or given as bytes', async () => {
    const expected = await loadImage(PPM)
    for (const source of [
      pathToFileURL(PPM),
      pathToFileURL(PPM).href,
      readFileSync(PPM),
      Uint8Array.from(readFileSync(PPM)),
    ])
      expect(await loadImage(source)).toEqual(expected)
    // Another realm, as of Jest: its arrays are of another class.
    const foreign = runInNewContext('Uint8Array.from(bytes)', { bytes: readFileSync(PPM) }) as Uint8Array
    expect(foreign).not.toBeInstanceOf(Uint8Array)
    expect((await loadImage(foreign)).width).toBe(56)
    const png = runInNewContext('Uint8Array.from(bytes)', {
      bytes: readFileSync(fixture('tiny/frame1.png')),
    }) as Uint8Array
    expect((await loadImage(png)).width).toBe(160)
  })

  test('comes from standard input, or from a pipe', () => {
    const script = (source: string) =>
      `import { loadImage } from './dist/index.js'; const { width, height } = await loadImage(${JSON.stringify(source)}); console.log(width, height)`
    const input = readFileSync(PPM)
    const node = (source: string) =>
      execFileSync('sh', ['-c', 'cat | "$0" --input-type=module -e "$1"', process.execPath, script(source)], {
        cwd: ROOT,
        input,
        encoding: 'utf8',
      })
    expect(node('-')).toBe('56 40\n')
    expect(node('/dev/stdin')).toBe('56 40\n')
    const empty = spawnSync(process.execPath, ['--input-type=module', '-e', script('-')], {
      cwd: ROOT,
      input: '',
      encoding: 'utf8',
    })
    expect(empty.stderr).toContain('-: is empty (0 bytes)')
  })

  test.each([
    ['http://example.com/a.png', 'download it first'],
    ['https://user:secret@example.com/a.png?token=1', 'download it first'],
    ['s3://bucket/a.png', 'download it first'],
    [`data:image/png;base64,${'A'.repeat(5000)}`, 'download it first'],
  ])('is not fetched from %.40s', async (url, advice) => {
    const error = await loadImage(url).catch((cause: unknown) => cause)
    expect(error).toEqual(flowError('ERR_ARGUMENT', advice))
    expect((error as Error).message.length).toBeLessThan(400)
  })

  test.each<[string, Uint8Array | string, string]>([
    ['a web page', '<!DOCTYPE html><html>', 'a web page (HTML)'],
    ['JSON', '{"a": 1}', 'JSON'],
    ['text', 'not a picture', 'is text'],
    ['nothing', '', 'is empty (0 bytes): get it again'],
    ['a pointer of Git LFS', 'version https://git-lfs.github.com/spec/v1\noid sha256:1', 'git lfs pull'],
    ['a video', Buffer.from('\0\0\0 ftypisom\0', 'latin1'), 'ffmpeg'],
    ['an EXR', Buffer.from('v/1\x01\x02\0\0\0', 'latin1'), 'OpenEXR'],
    ['flow', Buffer.from('PIEH\x01\0\0\0\x01\0\0\0\0\0\0\0', 'latin1'), 'a .flo file of flow'],
    ['a PFM', 'PF\n1 1\n-1\n000000000000', 'PFM'],
    ['a NumPy array', Buffer.from('\x93NUMPY\x01\0', 'latin1'), '.npy'],
    [
      'noise',
      Uint8Array.of(1, 2, 3, 0, 255, 254, 7),
      'raw pixels are given as { data, width, height, format }',
    ],
    [
      'the start of a PNG',
      Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
      'a PNG picture that cannot be decoded',
    ],
  ])('is not %s, which the message names in short text', async (_, content, kind) => {
    await withFolder(async (folder) => {
      const path = join(folder, 'frame.png')
      writeFileSync(path, content)
      const error = await loadImage(path).catch((cause: unknown) => cause)
      expect(error).toEqual(flowError('ERR_FRAME', path, kind))
      expect((error as Error).message).toMatch(/^[^\p{Cc}]{1,400}$/u)
    })
  })

  test('with a path of thousands of bytes makes no long message', async () => {
    const path = `${'folder/'.repeat(500)}a.png`
    for (const read of [
      () => loadImage(path),
      () => saveImage(path.replace('.png', '.xyz'), PIXEL),
      () => readMask(path),
      () => readFlow(path),
    ]) {
      const error = await read().catch((cause: unknown) => cause)
      expect((error as Error).message).toMatch(/^[^\p{Cc}]{1,400}$/u)
    }
  })

  test('is not a folder: the message asks for a file in it', async () => {
    await withFolder(async (folder) => {
      mkdirSync(join(folder, 'frames'))
      await expect(loadImage(join(folder, 'frames'))).rejects.toThrow(
        flowError('ERR_FRAME', 'frames', 'is a folder', 'name one file in it'),
      )
    })
  })
})
