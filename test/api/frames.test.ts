import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import sharp, { type Sharp } from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FlowField, type FlowModel, type Frame, type FrameSource } from '../../lib/index.js'
import { loadModel } from '../../lib/load.js'
import type { NativeModel } from '../../lib/native/contract.js'
import { callSite } from '../../lib/native/failure.js'
import { pixelsSeen } from '../support/pixels.js'
import { flowError, largestDifference, sameBits } from '../support/compare.js'
import {
  decodeRgb,
  fixture,
  loadTiny,
  type RgbFrame,
  TINY,
  tinyFrames,
  withFolder,
} from '../support/fixtures.js'

let model: FlowModel
let native: NativeModel
let a: RgbFrame
let b: RgbFrame
let expected: FlowField

beforeAll(async () => {
  model = await loadTiny()
  ;({ native } = await loadModel(TINY, callSite(loadModel)))
  ;[a, b] = await tinyFrames()
  expected = await model.flow(a, b)
})
afterAll(async () => {
  await model.dispose()
  native.disposeSync()
})

/** What `frame` becomes if its pixels, `step` bytes each, are filled by `paint`. */
function repaint(
  frame: RgbFrame,
  step: number,
  paint: (rgb: readonly number[]) => readonly number[],
): Uint8Array {
  const data = new Uint8Array(step * frame.width * frame.height)
  for (let i = 0; i < frame.width * frame.height; i++)
    data.set(paint([...frame.data.subarray(3 * i, 3 * i + 3)]), step * i)
  return data
}

/** The same rows, `stride` bytes apart, with noise between them. */
function pad(data: Uint8Array, row: number, stride: number): Uint8Array {
  const rows = data.length / row
  const padded = new Uint8Array(stride * (rows - 1) + row).fill(171)
  for (let y = 0; y < rows; y++) padded.set(data.subarray(y * row, (y + 1) * row), y * stride)
  return padded
}

function planar(frame: RgbFrame): Float32Array {
  const pixels = frame.width * frame.height
  return Float32Array.from(
    { length: 3 * pixels },
    (_, i) => frame.data[3 * (i % pixels) + Math.floor(i / pixels)]!,
  )
}

describe('the same picture gives the same bits', () => {
  const same = async (first: FrameSource, second: FrameSource) =>
    expect(sameBits((await model.flow(first, second)).data, expected.data)).toBe(true)

  it.each([
    ['rgba', 4, ([r, g, b]: readonly number[]) => [r!, g!, b!, 7]],
    ['bgr', 3, ([r, g, b]: readonly number[]) => [b!, g!, r!]],
    ['bgra', 4, ([r, g, b]: readonly number[]) => [b!, g!, r!, 200]],
  ] as const)('as %s', async (format, step, paint) => {
    const convert = (frame: RgbFrame) => ({ ...frame, data: repaint(frame, step, paint), format })
    await same(convert(a), convert(b))
  })

  it('as gray, if it is gray', async () => {
    const gray = repaint(a, 1, ([, g]) => [g!])
    const rgb = repaint(a, 3, ([, g]) => [g!, g!, g!])
    const flow = await model.flow({ ...a, data: gray }, b)
    expect(sameBits(flow.data, (await model.flow({ ...a, data: rgb }, b)).data)).toBe(true)
  })

  it('with padded rows, whatever is in the padding', async () => {
    const { width, height } = a
    const strided = (data: Uint8Array) =>
      ({ data: pad(data, 3 * width, 512), width, height, stride: 512, format: 'rgb' }) as const
    await same(strided(a.data), strided(b.data))
  })

  it('as Buffer, Uint8ClampedArray, view at an odd offset, and in shared memory', async () => {
    await same({ ...a, data: Buffer.from(a.data) }, { ...b, data: Uint8ClampedArray.from(b.data) })
    const odd = new Uint8Array(a.data.length + 13).subarray(5, 5 + a.data.length)
    odd.set(a.data)
    const shared = new Uint8Array(new SharedArrayBuffer(b.data.length + 3), 3)
    shared.set(b.data)
    await same({ ...a, data: odd }, { ...b, data: shared })
  })

  it('as path and as URL', async () => {
    await same(fixture('tiny/frame1.png'), pathToFileURL(fixture('tiny/frame2.png')))
    await same(a, fixture('tiny/frame2.png'))
    await same(pathToFileURL(fixture('tiny/frame1.png')).href, b)
  })

  it('as the bytes of a picture, in calls and in streams', async () => {
    const first = readFileSync(fixture('tiny/frame1.png'))
    await same(first, Uint8Array.from(readFileSync(fixture('tiny/frame2.png'))))
    const ppm = Buffer.concat([Buffer.from(`P6 ${b.width} ${b.height} 255\n`), b.data])
    await same(a, ppm)
    const stream = model.stream()
    await stream.push(first)
    const result = await stream.push(ppm)
    expect(result?.flow && sameBits(result.flow.data, expected.data)).toBe(true)
  })
})

describe('pixels', () => {
  it('are those of the frame where nothing is resized', () => {
    expect(largestDifference(pixelsSeen(native, a, 7, 10), planar(a))).toBe(0)
  })

  it("are OpenCV's bilinear ones, to one level, where it is resized", async () => {
    for (const name of ['frame1', 'frame2']) {
      const resized = pixelsSeen(native, await decodeRgb(`seed/${name}_source.png`), 40, 40)
      const opencv = await decodeRgb(`seed/${name}_640.png`)
      expect(largestDifference(resized, planar(opencv))).toBeLessThanOrEqual(1)
    }
  })
})

describe('files are decoded to 8-bit sRGB, upright', () => {
  const write = async (folder: string, name: string, make: (image: Sharp) => Sharp) => {
    const raw = { width: a.width, height: a.height, channels: 3 } as const
    const path = join(folder, name)
    await make(sharp(a.data, { raw })).toFile(path)
    return path
  }

  it('with alpha, 16 bits or a single channel', async () => {
    await withFolder(async (folder) => {
      const alpha = await write(folder, 'alpha.png', (image) => image.ensureAlpha(0.5))
      expect(sameBits((await model.flow(alpha, b)).data, expected.data)).toBe(true)
      const deep = await write(folder, 'deep.png', (image) => image.toColourspace('rgb16'))
      expect((await sharp(deep).metadata()).depth).toBe('ushort')
      expect(sameBits((await model.flow(deep, b)).data, expected.data)).toBe(true)
      const gray = await write(folder, 'gray.png', (image) => image.toColourspace('b-w'))
      expect((await sharp(gray).metadata()).channels).toBe(1)
      const levels = await sharp(gray).extractChannel(0).raw().toBuffer()
      const flow = await model.flow({ data: levels, width: a.width, height: a.height }, b)
      expect(sameBits((await model.flow(gray, b)).data, flow.data)).toBe(true)
    })
  })

  it('with CMYK', async () => {
    await withFolder(async (folder) => {
      const path = await write(folder, 'cmyk.jpg', (image) =>
        image.toColourspace('cmyk').jpeg({ quality: 100 }),
      )
      expect((await sharp(path).metadata()).channels).toBe(4)
      expect((await model.flow(path, b)).width).toBe(160)
    })
  })

  it('with an EXIF orientation', async () => {
    await withFolder(async (folder) => {
      const path = await write(folder, 'turned.png', (image) =>
        image.rotate(90).withMetadata({ orientation: 8 }),
      )
      const flow = await model.flow(path, b)
      expect([flow.width, flow.height]).toEqual([160, 112])
      expect(sameBits(flow.data, expected.data)).toBe(true)
    })
  })

  it('or refused, with a code that says whether the file or its content is wrong', async () => {
    await withFolder(async (folder) => {
      const path = join(folder, 'text.png')
      writeFileSync(path, 'not a picture')
      await expect(model.flow(path, b)).rejects.toThrow(flowError('ERR_FRAME', 'first frame', path))
      const missing = join(folder, 'missing.png')
      await expect(model.flow(a, missing)).rejects.toThrow(flowError('ERR_IO', 'second frame', missing))
      await expect(model.flow(folder, b)).rejects.toThrow(flowError('ERR_FRAME', folder))
    })
    const url = new URL('https://example.com/frame.png')
    await expect(model.features(url)).rejects.toThrow(flowError('ERR_ARGUMENT', 'example.com'))
  })

  it('with a fault that decoders recover from: the first of a process is a warning', async () => {
    const warned: Error[] = []
    const listen = (warning: Error) => warned.push(warning)
    process.on('warning', listen)
    const path = fixture('pictures/no_eoi.jpg')
    for (let i = 0; i < 2; i++) (await model.features(path)).dispose() // not at the same time: messages could be exchanged
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', listen)
    expect(warned.map(({ message }) => message)).toEqual([
      expect.stringContaining('premature end of JPEG image'),
    ])
    expect(warned[0]).toHaveProperty('code', 'DINOV3_FLOW_FAULT')
  })

  it('never by a synchronous call', () => {
    expect(() => model.flowSync('frame.png', b)).toThrow(flowError('ERR_FRAME', 'frame.png', 'asynchronous'))
    const bytes = readFileSync(fixture('tiny/frame1.png'))
    expect(() => model.flowSync(a, bytes)).toThrow(
      flowError('ERR_FRAME', 'bytes of a picture', 'asynchronous'),
    )
  })
})

describe('a frame that does not fit together is refused, saying what was expected', () => {
  const bytes = (length: number) => new Uint8Array(length)
  const nv12 = { width: 2, height: 2, format: 'nv12' }
  it.each<[string, unknown, string[]]>([
    ['no object', null, ['first frame', 'path']],
    [
      'data of another type',
      { data: new Float32Array(12), width: 2, height: 2 },
      ['Uint8Array', 'Float32Array'],
    ],
    ['no data', { width: 2, height: 2 }, ['Uint8Array', 'undefined']],
    ['a width of 0', { data: bytes(0), width: 0, height: 2 }, ['width', '0']],
    ['a height of 1.5', { data: bytes(3), width: 1, height: 1.5 }, ['height', '1.5']],
    ['a width of NaN', { data: bytes(3), width: Number.NaN, height: 1 }, ['width', 'NaN']],
    ['a width of 65536', { data: bytes(65536), width: 65536, height: 1 }, ['width', '65535']],
    ['a length of no format', { data: bytes(13), width: 2, height: 2 }, ['13 bytes', '12', '16']],
    [
      'a length that may be nv12',
      { data: bytes(24), width: 4, height: 4 },
      ['nv12', 'i420', 'give the format'],
    ],
    ['a length that may be yuyv', { data: bytes(32), width: 4, height: 4 }, ['yuyv', 'give the format']],
    ['an unknown format', { data: bytes(12), width: 2, height: 2, format: 'yuv' }, ['"yuv"', 'nv12']],
    ['a format of 10 bits', { data: bytes(12), width: 2, height: 2, format: 'p010' }, ['"p010"', '8 bits']],
    ['another one', { data: bytes(12), width: 2, height: 2, format: 'yuv420p10le' }, ['8 bits', 'nv12']],
    ['another kind', { data: bytes(12), width: 2, height: 2, format: 'gray16le' }, ['8 bits', 'nv12']],
    ['a video', { data: bytes(12), width: 2, height: 2, format: 'h264' }, ['"h264": convert it']],
    ['an old name', { data: bytes(6), width: 2, height: 2, format: 'yuvj420p' }, ["range 'full'"]],
    ['capitals', { data: bytes(6), width: 2, height: 2, format: 'NV12' }, ['write "nv12"']],
    ['no name', { data: bytes(6), width: 2, height: 2, format: { a: 1 } }, ['not an object']],
    ['a range of rgb', { data: bytes(12), width: 2, height: 2, range: 'full' }, ['YUV', 'leave them out']],
    [
      'no range',
      { data: bytes(6), width: 2, height: 2, format: 'nv12', range: 'pc' },
      ['video or full', '"pc"'],
    ],
    ['no matrix', { data: bytes(6), width: 2, height: 2, format: 'nv12', matrix: 709 }, ['bt709', '709']],
    [
      'i420 for the length of rgb',
      { data: bytes(12), width: 2, height: 2, format: 'i420' },
      ['6 bytes', '12'],
    ],
    [
      'a stride that cannot be halved',
      { data: bytes(99), width: 2, height: 2, format: 'i420', stride: 3 },
      ['planes'],
    ],
    [
      'bytes between planes',
      { data: bytes(64 * 99), width: 62, height: 48, format: 'nv12', stride: 64 },
      ['4608 bytes', '6336', 'planes'],
    ],
    [
      'planes without format',
      { data: bytes(12), width: 2, height: 2, planes: [{ offset: 0, stride: 6 }] },
      ['format'],
    ],
    [
      'one plane of two',
      { data: bytes(6), ...nv12, planes: [{ offset: 0, stride: 2 }] },
      ['2 { offset, stride }', 'not 1'],
    ],
    ['no list of planes', { data: bytes(6), ...nv12, planes: 'two' }, ['2 { offset, stride }', '"two"']],
    ['a plane that is none', { data: bytes(6), ...nv12, planes: [null, null] }, ['plane 0', 'undefined']],
    [
      'an offset below 0',
      {
        data: bytes(6),
        ...nv12,
        planes: [
          { offset: 0, stride: 2 },
          { offset: -1, stride: 2 },
        ],
      },
      ['plane 1', '-1'],
    ],
    [
      'a plane behind the end',
      {
        data: bytes(6),
        ...nv12,
        planes: [
          { offset: 0, stride: 2 },
          { offset: 5, stride: 2 },
        ],
      },
      ['plane 1', 'byte 7', '6 bytes'],
    ],
    [
      'a short stride of a plane',
      {
        data: bytes(6),
        ...nv12,
        planes: [
          { offset: 0, stride: 1 },
          { offset: 4, stride: 2 },
        ],
      },
      ['plane 0', 'at least 2'],
    ],
    [
      'a stride and other planes',
      {
        data: bytes(6),
        ...nv12,
        stride: 3,
        planes: [
          { offset: 0, stride: 2 },
          { offset: 4, stride: 2 },
        ],
      },
      ['planes alone'],
    ],
    ['too few bytes', { data: bytes(11), width: 2, height: 2, format: 'rgb' }, ['12 bytes', '11']],
    ['too many bytes', { data: bytes(16), width: 2, height: 2, format: 'rgb' }, ['12 bytes', '16', 'stride']],
    ['a stride without format', { data: bytes(16), width: 2, height: 2, stride: 8 }, ['format']],
    [
      'a short stride',
      { data: bytes(16), width: 2, height: 2, stride: 5, format: 'rgb' },
      ['at least 6', '5'],
    ],
    [
      'too few bytes for its stride',
      { data: bytes(13), width: 2, height: 2, stride: 8, format: 'rgb' },
      ['14', '13'],
    ],
    [
      'too few bytes of odd nv12',
      { data: bytes(9), width: 2, height: 3, format: 'nv12' },
      ['10 bytes', '2 x 3'],
    ],
    ['too few bytes of nv12', { data: bytes(16), width: 4, height: 4, format: 'nv12' }, ['24 bytes', '16']],
  ])('%s', async (_, frame, parts) => {
    const refusal = await model.flow(frame as Frame, b).catch((error: Error) => error)
    expect(() => {
      throw refusal
    }).toThrow(flowError('ERR_FRAME', 'first frame', ...parts))
    expect((refusal as Error).message.length).toBeLessThan(400)
    expect(() => model.flowSync(frame as Frame, b)).toThrow(flowError('ERR_FRAME', ...parts))
  })

  it('or accepted with the last row unpadded, or followed by other bytes', async () => {
    const frame = { width: 2, height: 2, stride: 8, format: 'rgb' } as const
    const short = await model.flow({ ...frame, data: bytes(14) }, b)
    const long = await model.flow({ ...frame, data: bytes(999) }, b)
    expect(sameBits(short.data, long.data)).toBe(true)
  })
})
