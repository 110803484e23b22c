import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  decodeFlow,
  encodeFlow,
  FLOW_FORMATS,
  type FlowFormat,
  readFlow,
  writeFlow,
} from '../../lib/formats/index.js'
import { expectSameFlow, FIXTURES, goldenFlow } from './helpers.js'

const EXTENSIONS: Record<FlowFormat, string> = {
  flo: '.flo',
  kitti: '.png',
  pfm: '.pfm',
  npy: '.npy',
  flo5: '.flo5',
}
const golden = (name: string): string => fileURLToPath(new URL(`formats/${name}`, FIXTURES))

describe('flow files', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flow-formats-'))
  })

  afterAll(async () => {
    await rm(folder, { recursive: true })
  })

  test.each(FLOW_FORMATS)(
    '%s is read back as it was written, by path and by content',
    async (format) => {
      const path = join(folder, `flow${EXTENSIONS[format]}`)
      await writeFlow(path, goldenFlow())
      const read = await readFlow(path)
      expectSameFlow(await decodeFlow(await readFile(path)), read)
      read.data.forEach((value, i) => {
        expect(Math.abs(value - goldenFlow().data[i]!)).toBeLessThanOrEqual(format === 'kitti' ? 1 / 128 : 0)
      })
    },
    30_000,
  )

  test('the extension may be in capitals', async () => {
    const path = join(folder, 'CAPITALS.FLO')
    await copyFile(golden('flow_31x47.flo'), path)
    expectSameFlow(await readFlow(path), goldenFlow())
  })

  test('the format can be named where the extension does not', async () => {
    const path = join(folder, 'no-extension')
    await writeFlow(path, goldenFlow(), { format: 'npy' })
    expectSameFlow(await decodeFlow(await readFile(path)), goldenFlow())
  })

  test('an unknown extension is refused with the list of those known', async () => {
    const refusal = { code: 'ERR_FORMAT', message: expect.stringContaining('.flo, .png, .pfm, .npy, .flo5') }
    await expect(readFlow('flow.tiff')).rejects.toMatchObject(refusal)
    await expect(writeFlow(join(folder, 'flow.tiff'), goldenFlow())).rejects.toMatchObject(refusal)
  })

  test('content of another format than the extension is refused by name', async () => {
    const path = join(folder, 'really-a.flo')
    await copyFile(golden('flow_31x47_le.pfm'), path)
    await expect(readFlow(path)).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringMatching(/really-a\.flo: .*pfm/),
    })
  })

  test('a damaged file is refused with its name and the reason', async () => {
    const path = join(folder, 'short.flo')
    await writeFile(path, (await readFile(golden('flow_31x47.flo'))).subarray(0, 1000))
    await expect(readFlow(path)).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringMatching(/short\.flo: .*47 x 31 takes 11668 bytes, but there are 1000/),
    })
  })

  test('a missing file is an I/O error that carries the cause', async () => {
    await expect(readFlow(join(folder, 'missing.flo'))).rejects.toMatchObject({
      code: 'ERR_IO',
      message: expect.stringContaining('missing.flo'),
      cause: { code: 'ENOENT' },
    })
  })

  test('a file that cannot be written leaves nothing behind', async () => {
    const before = await readdir(folder)
    await expect(writeFlow(join(folder, 'missing', 'a.flo'), goldenFlow())).rejects.toMatchObject({
      code: 'ERR_IO',
      cause: { code: 'ENOENT' },
    })
    expect(await readdir(folder)).toEqual(before)
  })

  test('an unknown format is an argument error', async () => {
    const unknown: string = 'gif'
    await expect(encodeFlow(goldenFlow(), unknown as FlowFormat)).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
    })
  })

  test('arbitrary bytes are refused as no flow file', async () => {
    const refuses = async (bytes: Uint8Array): Promise<void> => {
      await expect(decodeFlow(bytes)).rejects.toMatchObject({ code: 'ERR_FORMAT' })
    }
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 256 }), refuses))
  })
})
