import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import * as h5wasm from 'h5wasm'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import { decodeFlo5, encodeFlo5 } from '../../lib/formats/flo5.js'
import { readHdf5 } from '../../lib/formats/hdf5.js'
import {
  anyMotion,
  anyFlow,
  damage,
  expectFieldOrFormatError,
  expectSameFlow,
  goldenFlow,
} from './helpers.js'

/** Written by h5py 3.16 from the golden flow, rows 5 to 8 made NaN. */
function written(name: string): Uint8Array {
  return readFileSync(new URL(`files/${name}.flo5`, import.meta.url))
}

function goldenWithNaN(): FlowField {
  const flow = goldenFlow()
  flow.x.fill(NaN, 5 * 47, 9 * 47)
  flow.y.fill(NaN, 5 * 47, 9 * 47)
  return flow
}

describe('.flo5', () => {
  beforeAll(async () => {
    await h5wasm.ready
  })

  test.each([
    ['as Spring does', 'h5py_gzip'],
    ['contiguous, big-endian float64', 'h5py_contiguous_f64_big'],
    ['in the format of HDF5 1.8, shuffled and checksummed', 'h5py_v18_checked'],
    ['in chunks that split x from y and more of them than one index node holds', 'h5py_small_chunks'],
    ['in the latest format', 'h5py_latest'],
  ])('reads what h5py writes %s', async (_, name) => {
    expectSameFlow(await decodeFlo5(written(name)), goldenWithNaN())
  })

  test('the HDF5 library reads what is written, in one chunk and in many', async () => {
    for (const [width, height] of [
      [47, 31],
      [512, 700],
      [3, 1],
    ] as const) {
      const flow = new FlowField(width, height)
      flow.data.forEach((_, i) => (flow.data[i] = Math.sin(i)))
      h5wasm.FS?.writeFile('/written.flo5', await encodeFlo5(flow))
      const file = new h5wasm.File('/written.flo5', 'r')
      const dataset = file.get('flow')
      if (!(dataset instanceof h5wasm.Dataset)) throw new Error('no dataset')
      const values = dataset.value
      if (!(values instanceof Float32Array)) throw new Error('no float32')
      expect(file.keys()).toEqual(['flow'])
      expect(dataset.shape).toEqual([height, width, 2])
      expect(dataset.filters.map((filter) => filter.name)).toEqual(['deflate'])
      expect(values.filter((_, i) => i % 2 === 0)).toEqual(flow.x)
      expect(values.filter((_, i) => i % 2 === 1)).toEqual(flow.y)
      file.close()
      h5wasm.FS?.unlink('/written.flo5')
    }
  })

  test('keeps every known motion exactly', async () => {
    const keeps = async (flow: FlowField): Promise<void> =>
      expectSameFlow(await decodeFlo5(await encodeFlo5(flow)), flow)
    await fc.assert(fc.asyncProperty(anyFlow(anyMotion), keeps), { numRuns: 15 })
  })

  test('keeps a large field, and the bytes that are read', async () => {
    const flow = new FlowField(4096, 2100)
    flow.data[flow.data.length - 1] = 7
    const bytes = await encodeFlo5(flow)
    const part = new Uint8Array(bytes.length + 3).subarray(3)
    part.set(bytes)
    expectSameFlow(await decodeFlo5(part), flow)
    expect(part).toEqual(bytes)
  })

  test.each([
    ['no dataset of this name', "no dataset 'flow'", { name: 'other' }],
    ['integers', 'float32 or float64', { dtype: '<i4' }],
    ['two axes', 'shape (H, W, 2), not (12,2)', { shape: [12, 2] }],
    ['four axes', 'shape (H, W, 2), not (3,2,2,2)', { shape: [3, 2, 2, 2] }],
    ['three channels', 'shape (H, W, 2), not (4,2,3)', { shape: [4, 2, 3] }],
    ['no row', 'shape (H, W, 2), not (0,4,2)', { shape: [0, 4, 2], data: [] }],
  ])('refuses %s', async (_, reason, change) => {
    const file = new h5wasm.File('/made.flo5', 'w')
    const data = Array.from({ length: 24 }, (_, i) => i)
    file.create_dataset({ name: 'flow', data, shape: [3, 4, 2], dtype: '<f4', ...change })
    file.close()
    const bytes = h5wasm.FS!.readFile('/made.flo5')
    await expect(decodeFlo5(bytes)).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringContaining(reason),
    })
  })

  test('refuses a group in the place of the dataset', async () => {
    const file = new h5wasm.File('/made.flo5', 'w')
    file.create_group('flow')
    file.close()
    const bytes = h5wasm.FS!.readFile('/made.flo5')
    await expect(decodeFlo5(bytes)).rejects.toMatchObject({ code: 'ERR_FORMAT' })
  })

  test('refuses a shape that no file of its size can hold', async () => {
    const file = new h5wasm.File('/made.flo5', 'w')
    const sides = { shape: [1, 4, 2], maxshape: [null, 4, 2], chunks: [1, 4, 2] }
    const dataset = file.create_dataset({ name: 'flow', data: new Float32Array(8), ...sides })
    if (!(dataset instanceof h5wasm.Dataset)) throw new Error('no dataset')
    dataset.resize([2 ** 24, 4, 2])
    file.close()
    const bytes = h5wasm.FS!.readFile('/made.flo5')
    await expect(decodeFlo5(bytes)).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringContaining('cannot hold'),
    })
  })

  test('says what the library says, on one line and not on the console', async () => {
    const writes = [vi.spyOn(process.stdout, 'write'), vi.spyOn(process.stderr, 'write')]
    try {
      const cut = written('h5py_gzip').subarray(0, 3000)
      await expect(decodeFlo5(cut)).rejects.toMatchObject({
        code: 'ERR_FORMAT',
        message: expect.stringMatching(/^not a readable \.flo5 file: truncated file: .*$/),
      })
      for (const write of writes) expect(write).not.toHaveBeenCalled()
    } finally {
      vi.restoreAllMocks()
    }
  })

  test('names a filter that is not known', async () => {
    const bytes = Buffer.from(written('h5py_gzip'))
    // The number of the filter stands 8 bytes before its name.
    bytes.writeUInt16LE(32_000, bytes.indexOf('deflate') - 8)
    await expect(decodeFlo5(bytes)).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringContaining("required filter 'deflate' is not registered"),
    })
  })

  test('gives up when its time is over', async () => {
    const reading = readHdf5({ bytes: written('h5py_gzip'), name: 'flow', channels: 2, maxPixels: 1e6 }, 1)
    await expect(reading).rejects.toThrow('within 1 ms')
  })

  test('a write that fails is no fault of a file', async () => {
    // No field can be so, but the library has to refuse something.
    const broken = {
      width: -1,
      height: 1,
      x: new Float32Array(1),
      y: new Float32Array(1),
      data: new Float32Array(2),
      toInterleaved: () => new Float32Array(2),
    } as FlowField
    await expect(encodeFlo5(broken)).rejects.toMatchObject({ code: 'ERR_NATIVE' })
  })

  test('flow of more pixels than the limit is refused before it is unpacked', async () => {
    const request = { bytes: written('h5py_gzip'), name: 'flow', channels: 2 }
    const reading = readHdf5({ ...request, maxPixels: 47 * 31 - 1 })
    await expect(reading).rejects.toThrow('47 x 31 pixels are more than 1456')
    expect((await readHdf5({ ...request, maxPixels: 47 * 31 })).values).toHaveLength(2 * 47 * 31)
  })

  // Few, because each of them starts a worker.
  test.each(['h5py_gzip', 'h5py_v18_checked', 'h5py_small_chunks', 'h5py_latest'])(
    'a damaged %s is a field or a format error',
    async (name) => {
      const bytes = Uint8Array.from(written(name))
      const hurtHead = damage(bytes.subarray(0, 2600)).map((start) => {
        const copy = bytes.slice()
        copy.set(start.subarray(0, 2600))
        return copy
      })
      const files = fc.array(fc.oneof(damage(bytes), hurtHead), { minLength: 5, maxLength: 5 })
      const property = fc.asyncProperty(files, async (hurt) => {
        await Promise.all(hurt.map((file) => expectFieldOrFormatError(file, decodeFlo5)))
      })
      await fc.assert(property, { numRuns: 2, endOnFailure: true })
    },
  )
})
