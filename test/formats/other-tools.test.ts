import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import {
  decodeFlow,
  encodeFlow,
  encodeKitti,
  flowToColor,
  type ReadFlowOptions,
  readFlow,
} from '../../lib/index.js'
import { fixture, withFolder } from '../support/fixtures.js'
import { fromPairs } from './helpers.js'

/** What an independent reader makes of a file: pairs of x and y, then the width and the height. */
function wanted(name: string): FlowField {
  const bytes = readFileSync(fixture(`formats/${name}`))
  const [width, height] = [bytes.readUInt32LE(bytes.length - 8), bytes.readUInt32LE(bytes.length - 4)]
  return fromPairs(width, height, new Float32Array(Uint8Array.from(bytes.subarray(0, -8)).buffer))
}

describe('flow files of other tools are what an independent reader makes of them', () => {
  test.each<[string, string, ReadFlowOptions]>([
    ['crlf.pfm', 'crlf.pfm.want', {}],
    ['batch_1chw.npy', 'npy.want', {}],
    ['hw3_valid.npy', 'npy.want', {}],
    ['flow.npz', 'npy.want', {}],
    ['dsec_128.png', 'dsec_128.png.want', { pngCode: 'dsec' }],
  ])('%s', async (name, want, options) => {
    const flow = await readFlow(fixture(`formats/${name}`), options)
    const expected = wanted(want)
    expect([flow.width, flow.height]).toEqual([expected.width, expected.height])
    expect(flow.data).toEqual(expected.data)
  })
})

describe('unknown flow', () => {
  const MARKS = [NaN, Infinity, -Infinity, 1e9, -1e9, 1e10, 1.6666666752e9, 3.4028234663852886e38]

  test.each(['flo', 'pfm', 'npy', 'flo5'] as const)(
    'is NaN whatever a .%s file marks it with',
    async (format) => {
      for (const mark of MARKS) {
        const flow = new FlowField(3, 1, Float32Array.of(1, mark, 2, 3, 4, mark))
        const read = await decodeFlow(await encodeFlow(flow, format))
        expect([...read.data]).toEqual([1, NaN, NaN, 3, NaN, NaN])
      }
    },
  )

  test('of a file is white in pictures, and invalid in KITTI’s PNG', async () => {
    const file = await encodeFlow(new FlowField(2, 1, Float32Array.of(5, 1e10, 0, 1e10)), 'npy')
    const flow = await decodeFlow(file)
    expect([...flowToColor(flow).data.subarray(3)]).toEqual([255, 255, 255])
    expect([...(await decodeFlow(await encodeKitti(flow))).data]).toEqual([5, NaN, 0, NaN])
  })
})

describe('a file that holds no flow is refused with what it holds', () => {
  test.each<[string, string | Uint8Array, string]>([
    ['a.flo', Buffer.from('\xff\xd8\xff\xe0', 'latin1'), 'is a JPEG picture, not a .flo file'],
    ['a.npy', '<html>', 'is a web page'],
    ['a.npz', 'text', 'is text, not a .npz file'],
    ['a.pfm', 'P6\n1 1\n255\n123', 'is a PPM, PGM or PBM picture'],
    ['a.flo', '', 'is empty'],
    ['a.png', readFileSync(fixture('tiny/frame1.png')), 'perhaps a picture of flow'],
  ])('%s: %#', async (name, content, reason) => {
    await withFolder(async (folder) => {
      const path = join(folder, name)
      await writeFile(path, content)
      const error = await readFlow(path).catch((cause: unknown) => cause)
      expect(error).toMatchObject({ code: 'ERR_FORMAT', message: expect.stringContaining(reason) })
      expect((error as Error).message).toMatch(/^[^\p{Cc}]{1,400}$/u)
      expect((error as Error).message).toContain(path)
    })
  })

  test('a folder, and a URL', async () => {
    await withFolder(async (folder) => {
      const path = join(folder, 'a.flo')
      await mkdir(path)
      await expect(readFlow(path)).rejects.toMatchObject({
        code: 'ERR_FORMAT',
        message: `${path}: is a folder, not a flow file: name one file in it`,
      })
      await expect(readFlow(folder)).rejects.toThrow('is a folder, not a flow file')
    })
    await expect(readFlow('https://example.com/a.flo')).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringContaining('download it first'),
    })
  })
})
