import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import * as h5wasm from 'h5wasm'
import { beforeAll, describe, expect, test } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import { decodeFlo5, encodeFlo5 } from '../../lib/formats/flo5.js'
import {
  anyFloat32,
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
  ])('reads what h5py writes %s', async (_, name) => {
    expectSameFlow(await decodeFlo5(written(name)), goldenWithNaN())
  })

  test('names the remedy for a file of the latest HDF5 format', async () => {
    await expect(decodeFlo5(written('h5py_latest'))).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringContaining('h5repack'),
    })
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
      expect(values.filter((_, i) => i % 2 === 0)).toEqual(flow.x)
      expect(values.filter((_, i) => i % 2 === 1)).toEqual(flow.y)
      file.close()
      h5wasm.FS?.unlink('/written.flo5')
    }
  })

  test('keeps every value exactly', async () => {
    const keeps = async (flow: FlowField): Promise<void> =>
      expectSameFlow(await decodeFlo5(await encodeFlo5(flow)), flow)
    await fc.assert(fc.asyncProperty(anyFlow(anyFloat32), keeps))
  })

  test('keeps a field of more rows than chunks fit into an index node', async () => {
    const flow = new FlowField(4096, 2100)
    flow.data[flow.data.length - 1] = 7
    expectSameFlow(await decodeFlo5(await encodeFlo5(flow)), flow)
  })

  test('refuses a file whose chunks share their bytes', async () => {
    const flow = new FlowField(1024, 300)
    const bytes = await encodeFlo5(flow)
    // The address of the second chunk is made that of the first: 24 bytes of node, keys of 40, addresses of 8.
    const view = new DataView(bytes.buffer)
    const first = 1320 + 24 + 40
    view.setBigUint64(first + 48, view.getBigUint64(first, true), true)
    await expect(decodeFlo5(bytes)).rejects.toMatchObject({ code: 'ERR_FORMAT' })
  })

  test('refuses a shape that no file of its size can hold', async () => {
    const bytes = await encodeFlo5(new FlowField(8, 8))
    const view = new DataView(bytes.buffer)
    // The dataspace's dimensions stand behind the header's 16 bytes, a message's 8 and the dataspace's own 8.
    const shapeAt = 1128 + 32
    expect(view.getBigUint64(shapeAt, true)).toBe(8n)
    view.setBigUint64(shapeAt, 2n ** 40n, true)
    await expect(decodeFlo5(bytes)).rejects.toMatchObject({ code: 'ERR_FORMAT' })
  })

  test.each(['h5py_gzip', 'h5py_v18_checked', 'h5py_small_chunks', 'h5py_contiguous_f64_big'])(
    'a damaged %s is a field or a format error',
    async (name) => {
      const bytes = Uint8Array.from(written(name))
      const head = bytes.subarray(0, 2600)
      const hurt = fc.oneof(
        damage(bytes),
        damage(head).map((start) => {
          const copy = bytes.slice()
          copy.set(start.subarray(0, head.length))
          return copy
        }),
      )
      const property = fc.asyncProperty(hurt, (file) => expectFieldOrFormatError(file, decodeFlo5))
      await fc.assert(property, { numRuns: 500 })
    },
  )
})
