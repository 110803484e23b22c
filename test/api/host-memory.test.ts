import { describe, expect, it } from 'vitest'
import { FlowField, type FrameShape, PIXEL_FORMATS } from '../../lib/index.js'
import { formatRow } from '../../lib/pixel-formats.js'
import { flowError, sameBits } from '../support/compare.js'
import { loadTiny, tinyFrames } from '../support/fixtures.js'

const [a, b] = await tinyFrames()

describe('a field that a model makes', () => {
  it('holds zeros, and is written as any other', async () => {
    await using model = await loadTiny()
    const field = model.createField(a.width, a.height)
    expect(field).toBeInstanceOf(FlowField)
    expect(field).toMatchObject({ width: a.width, height: a.height })
    expect(field.data).toEqual(new Float32Array(2 * a.width * a.height))
    expect(await model.flow(a, b, { into: field })).toBe(field)
    expect(sameBits(field.data, (await model.flow(a, b)).data)).toBe(true)
  })

  it('is ordinary memory on a CPU, and outlives the model', async () => {
    const model = await loadTiny()
    const field = model.flowSync(a, b, { into: model.createField(a.width, a.height) })
    const values = field.data.slice()
    await model.dispose()
    expect(sameBits(field.data, values)).toBe(true)
    const { buffer } = structuredClone(field.data, { transfer: [field.data.buffer as ArrayBuffer] })
    expect(sameBits(new Float32Array(buffer), values)).toBe(true)
    expect(field.data).toHaveLength(0)
  })

  it.each([
    [0, 5],
    [5, -1],
    [1.5, 2],
    ['5', 5],
    [NaN, 5],
  ])('is not of %s x %s', async (width, height) => {
    await using model = await loadTiny()
    expect(() => model.createField(width as number, height)).toThrow(
      flowError('ERR_ARGUMENT', `${typeof width === 'string' ? `"${width}"` : width} x ${height}`),
    )
  })

  it('that there is no room for is ERR_OUT_OF_MEMORY, and the model works on', async () => {
    await using model = await loadTiny()
    expect(() => model.createField(2 ** 26, 2 ** 26)).toThrow(flowError('ERR_OUT_OF_MEMORY', 'flow field'))
    expect((await model.flow(a, b)).width).toBe(a.width)
  })
})

describe('a frame that a model makes', () => {
  it.each(PIXEL_FORMATS)('of format %s has tight rows of zeros, and is read as any other', async (format) => {
    await using model = await loadTiny()
    const frame = model.createFrame({ width: 63, height: 47, format })
    const bytes = formatRow(format)!
      .sizes(63, 47)
      .reduce((sum, { row, rows }) => sum + row * rows, 0)
    expect(frame).toMatchObject({ width: 63, height: 47, format })
    expect(frame.data).toEqual(new Uint8Array(bytes))
    frame.data.set(a.data.subarray(0, bytes))
    const ordinary = { width: 63, height: 47, format, data: a.data.slice(0, bytes) }
    const expected = await model.flow(ordinary, ordinary)
    expect(sameBits((await model.flow(frame, frame)).data, expected.data)).toBe(true)
  })

  it('is rgb where nothing is said', async () => {
    await using model = await loadTiny()
    expect(model.createFrame({ width: 5, height: 4 })).toMatchObject({ format: 'rgb', stride: 15 })
  })

  it.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    [{ width: 0, height: 4 }, 'width'],
    [{ width: 4, height: 65_536 }, 'height'],
    [{ width: 4, height: '4' }, 'height'],
    [{ width: 4, height: 4, format: 'yuv' }, 'rgb, rgba'],
    [{ width: 4, height: 4, format: 'nv12', range: 'pc' }, 'video or full'],
    [{ width: 4, height: 4, matrix: 'bt709' }, 'leave them out'],
  ])('is not made from %o', async (shape, said) => {
    await using model = await loadTiny()
    expect(() => model.createFrame(shape as FrameShape)).toThrow(flowError('ERR_FRAME', 'frame', said))
  })
})

it('a disposed model makes nothing', async () => {
  const model = await loadTiny()
  await model.dispose()
  expect(() => model.createField(5, 5)).toThrow(flowError('ERR_DISPOSED'))
  expect(() => model.createFrame({ width: 5, height: 5 })).toThrow(flowError('ERR_DISPOSED'))
})
