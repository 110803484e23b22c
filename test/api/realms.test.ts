import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import vm from 'node:vm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  decodeFlow,
  encodeFlow,
  FlowField,
  type FlowModel,
  loadImage,
  readFlow,
  savePng,
} from '../../lib/index.js'
import { flowError, sameBits } from '../support/compare.js'
import { fixture, loadTiny, type RgbFrame, tinyFrames, withFolder } from '../support/fixtures.js'

// Jest runs tests in a context of node:vm, whose classes are others than those of this module.
const realm = vm.createContext({})
/** The same values in a typed array of another realm. */
function foreign<T extends Uint8Array | Float32Array>(
  values: T,
  className: string = values.constructor.name,
): T {
  const Class = vm.runInContext(className === 'Buffer' ? 'Uint8Array' : className, realm)
  return new Class(values) as T
}

/** What the package abort-controller, and others like it, give: no AbortSignal of Node, and no reason. */
class PolyfilledSignal {
  aborted = false
  readonly #listeners = new Set<() => void>()
  addEventListener(_: string, listener: () => void) {
    this.#listeners.add(listener)
  }
  removeEventListener(_: string, listener: () => void) {
    this.#listeners.delete(listener)
  }
  abort() {
    this.aborted = true
    for (const listener of this.#listeners) listener()
  }
  get listeners() {
    return this.#listeners.size
  }
}

/** What jsdom has in the place of Node's URL. */
class PolyfilledUrl {
  readonly protocol: string
  constructor(readonly href: string) {
    this.protocol = href.slice(0, href.indexOf(':') + 1)
  }
}

let model: FlowModel
let a: RgbFrame
let b: RgbFrame
let expected: FlowField

beforeAll(async () => {
  model = await loadTiny()
  ;[a, b] = await tinyFrames()
  expected = await model.flow(a, b)
})
afterAll(() => model.dispose())

describe('typed arrays of another realm', () => {
  it.each(['Uint8Array', 'Uint8ClampedArray'])('are frames: %s', async (className) => {
    const data = foreign(a.data, className)
    expect(data).not.toBeInstanceOf(Uint8Array)
    expect(sameBits((await model.flow({ ...a, data }, b)).data, expected.data)).toBe(true)
    expect(sameBits(model.flowSync({ ...a, data }, b).data, expected.data)).toBe(true)
    using stream = model.stream()
    await stream.push({ ...a, data })
    expect(sameBits((await stream.push(b))!.flow!.data, expected.data)).toBe(true)
  })

  it('take results', async () => {
    const into = new FlowField(160, 112, foreign(new Float32Array(2 * 160 * 112)))
    expect(await model.flow(a, b, { into })).toBe(into)
    expect(Buffer.compare(Buffer.from(into.data.buffer), Buffer.from(expected.data.buffer))).toBe(0)
    // A FlowField of another copy of this package is another class, and was sent to another thread it has none.
    const plain = { width: 160, height: 112, data: foreign(new Float32Array(2 * 160 * 112)) } as FlowField
    await model.flow(a, b, { into: plain })
    expect(Buffer.compare(Buffer.from(plain.data.buffer), Buffer.from(expected.data.buffer))).toBe(0)
    using map = await model.features(a)
    const features = await map.read()
    const copy = foreign(new Float32Array(features.length))
    expect(await map.read({ into: copy })).toBe(copy)
    expect([...copy]).toEqual([...features])
  })

  it('are the bytes of pictures and of flow files', async () => {
    const bytes = foreign(readFileSync(fixture('tiny/frame1.png')))
    expect(Buffer.compare((await loadImage(bytes)).data, a.data)).toBe(0)
    expect(sameBits((await model.flow(bytes, b)).data, expected.data)).toBe(true)
    for (const format of ['flo', 'npy', 'pfm', 'kitti', 'flo5'] as const) {
      const flow = new FlowField(3, 2, foreign(Float32Array.of(1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6)))
      const read = await decodeFlow(foreign(await encodeFlow(flow, format)))
      expect([...read.data]).toEqual([...flow.data])
    }
    await withFolder(async (folder) => {
      await savePng(`${folder}/a.png`, { ...a, data: foreign(a.data) })
      expect(Buffer.compare((await loadImage(`${folder}/a.png`)).data, a.data)).toBe(0)
    })
  })
})

describe('a URL of another realm', () => {
  it('names a file, or is refused as any other', async () => {
    const url = (href: string) => new PolyfilledUrl(href) as unknown as URL
    const { href } = pathToFileURL(fixture('tiny/frame1.png'))
    expect((await loadImage(url(href))).width).toBe(160)
    expect(sameBits((await model.flow(url(href), b)).data, expected.data)).toBe(true)
    expect((await readFlow(url(pathToFileURL(fixture('small/flow.flo')).href))).width).toBeGreaterThan(0)
    await expect(loadImage(url('https://example.com/a.png'))).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'example.com', 'download'),
    )
  })

  it('is no other object', async () => {
    for (const nothing of [
      5,
      null,
      undefined,
      {},
      { data: [1, 2, 3], width: 1, height: 1 },
      { href: 'file:///a' },
    ])
      await expect(loadImage(nothing as never)).rejects.toThrow(flowError('ERR_FRAME', 'path'))
  })
})

describe('a signal of another realm or of a polyfill', () => {
  it('aborts calls, and holds none once they are done', async () => {
    const signal = new PolyfilledSignal()
    const options = { signal: signal as unknown as AbortSignal }
    expect(sameBits((await model.flow(a, b, options)).data, expected.data)).toBe(true)
    expect(signal.listeners).toBe(0)
    // The engine computes the first of them meanwhile, but not all.
    const calls = Array.from({ length: 64 }, () => model.flow(a, b, options))
    signal.abort()
    const settled = await Promise.allSettled(calls)
    expect(settled.at(-1)).toMatchObject({
      reason: { code: 'ERR_ABORTED', cause: { name: 'AbortError' } },
    })
    await expect(model.flow(a, b, options)).rejects.toThrow(flowError('ERR_ABORTED'))
    const other: AbortSignal = vm.runInContext(
      'make()',
      vm.createContext({ make: () => new AbortController().signal }),
    )
    expect((await model.flow(a, b, { signal: other })).width).toBe(160)
  })

  it('is no other object', async () => {
    for (const signal of [null, 5, {}, new AbortController(), { aborted: false }, new EventTarget()])
      await expect(model.flow(a, b, { signal: signal as AbortSignal })).rejects.toThrow(
        flowError('ERR_ARGUMENT', 'AbortSignal', 'AbortController'),
      )
  })
})
