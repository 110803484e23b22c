import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as api from '../../lib/index.js'
import {
  type FeatureMap,
  FlowError,
  FlowField,
  FlowMetrics,
  type FlowModel,
  Homography,
} from '../../lib/index.js'
import { loadTiny } from '../support/fixtures.js'

// JavaScript lets a caller pass anything. A call either takes it, or throws a short FlowError that says what the argument must be.

const WRONG: Readonly<Record<string, unknown>> = {
  undefined,
  null: null,
  'a number': 5,
  NaN,
  'a bigint': 5n,
  'a symbol': Symbol('flow'),
  'a long text': 'x'.repeat(1e5),
  true: true,
  'a function': () => 5,
  'an object': {},
  'a list': [1, 2],
  'a long list': Array.from({ length: 1e5 }, (_, i) => i),
  'an array of floats': new Float32Array(1e5),
  'a buffer': Buffer.alloc(10),
  'a promise': Promise.resolve(new FlowField(4, 3)),
  'a thing without a text': Object.assign(Object.create(null), { toString: null }),
}
const frame = { data: new Uint8Array(3 * 32 * 32), width: 32, height: 32 }
const field = new FlowField(32, 32)
const anywhere = path.join(tmpdir(), 'dinov3-flow-misuse.none')

let model: FlowModel
let map: FeatureMap
beforeAll(async () => {
  model = await loadTiny()
  map = await model.features(frame)
})
afterAll(() => model.dispose())

/** Calls, and the arguments of which each is replaced in turn. */
const CALLS: Readonly<Record<string, [(...args: never[]) => unknown, readonly unknown[]]>> = {
  arrowsSvg: [api.arrowsSvg, [field, {}]],
  colorWheelLegend: [api.colorWheelLegend, [64]],
  decodeFlo: [api.decodeFlo, [new Uint8Array(1)]],
  decodeFlo5: [api.decodeFlo5, [new Uint8Array(1)]],
  decodeFlow: [api.decodeFlow, [new Uint8Array(1)]],
  decodeKitti: [api.decodeKitti, [new Uint8Array(1)]],
  decodeNpy: [api.decodeNpy, [new Uint8Array(1)]],
  decodeNpz: [api.decodeNpz, [new Uint8Array(1)]],
  decodePfm: [api.decodePfm, [new Uint8Array(1)]],
  decodePfmFlow: [api.decodePfmFlow, [new Uint8Array(1)]],
  drawArrows: [api.drawArrows, [frame, field, {}]],
  encodeFlo: [api.encodeFlo, [field]],
  encodeFlo5: [api.encodeFlo5, [field]],
  encodeFlow: [api.encodeFlow, [field, 'flo']],
  encodeKitti: [api.encodeKitti, [field]],
  encodeNpy: [api.encodeNpy, [field]],
  encodePfmFlow: [api.encodePfmFlow, [field]],
  encodePng: [api.encodePng, [frame]],
  errorToColor: [api.errorToColor, [field, field]],
  evaluate: [api.evaluate, [field, field, {}]],
  flowToColor: [api.flowToColor, [field, {}]],
  globalMotion: [api.globalMotion, [field, {}]],
  inspectCheckpoint: [api.inspectCheckpoint, [anywhere]],
  loadImage: [api.loadImage, [frame]],
  mapToImage: [api.mapToImage, [{ data: new Uint8Array(9), width: 3, height: 3 }]],
  movePoints: [api.movePoints, [[{ x: 1, y: 1 }], { flow: field }, {}]],
  readFlow: [api.readFlow, [anywhere]],
  readMask: [api.readMask, [anywhere]],
  saveImage: [api.saveImage, [anywhere, frame]],
  savePng: [api.savePng, [path.join(anywhere, 'none.png'), frame]],
  trackPoints: [api.trackPoints, [[], [{ x: 1, y: 1 }], {}]],
  warp: [api.warp, [frame, field, {}]],
  writeFlow: [api.writeFlow, [anywhere, field]],
  writeMap: [api.writeMap, [anywhere, { data: new Uint8Array(9), width: 3, height: 3 }]],
  'new FlowField': [
    (...args: ConstructorParameters<typeof FlowField>) => new FlowField(...args),
    [1, 1, new Float32Array(2)],
  ],
  'FlowField.fromInterleaved': [FlowField.fromInterleaved, [1, 1, new Float32Array(2)]],
  'field.magnitude': [field.magnitude.bind(field), [{}]],
  'field.resize': [field.resize.bind(field), [8, 8]],
  'new FlowMetrics': [(...args: ConstructorParameters<typeof FlowMetrics>) => new FlowMetrics(...args), [{}]],
  'metrics.add': [
    (...args: Parameters<FlowMetrics['add']>) => new FlowMetrics().add(...args),
    [field, field, {}],
  ],
  'metrics.addSums': [
    (...args: Parameters<FlowMetrics['addSums']>) => new FlowMetrics().addSums(...args),
    [new FlowMetrics().sums()],
  ],
  'new Homography': [
    (...args: ConstructorParameters<typeof Homography>) => new Homography(...args),
    [[1, 0, 0, 0, 1, 0, 0, 0, 1]],
  ],
  'homography.followedBy': [
    (next: Homography) => Homography.IDENTITY.followedBy(next),
    [Homography.IDENTITY],
  ],
  'homography.field': [Homography.IDENTITY.field.bind(Homography.IDENTITY), [4, 4]],
}

/** The same of the methods of a model. */
const METHODS: Readonly<Record<string, readonly unknown[]>> = {
  flow: [frame, frame, {}],
  flowSync: [frame, frame, {}],
  flowMaps: [frame, frame, {}],
  flowPicture: [frame, frame, {}],
  features: [frame, {}],
  createField: [4, 4],
  createFrame: [{ width: 4, height: 4 }],
  createTensor: [[2, 4, 4], {}],
  fromDLPack: [undefined],
  openShared: [undefined],
  prepare: [{ width: 32, height: 32 }, {}],
}

/** @param what the argument, for the message of a test that fails */
async function expectFlowError(what: string, call: () => unknown): Promise<void> {
  try {
    await call()
  } catch (error) {
    expect(error, what).toBeInstanceOf(FlowError)
    expect((error as Error).message.length, what).toBeLessThan(600)
    expect((error as Error).message, what).not.toContain('[object')
  }
}

async function misuse(call: (...args: never[]) => unknown, args: readonly unknown[]): Promise<void> {
  for (const [kind, wrong] of Object.entries(WRONG))
    for (let i = 0; i < args.length; i++)
      await expectFlowError(`argument ${i} is ${kind}`, () =>
        call(...(args.map((arg, at) => (at === i ? wrong : arg)) as never[])),
      )
}

describe('any argument is taken, or the error says what it must be', () => {
  it.each(Object.entries(CALLS))('%s', (_, [call, args]) => misuse(call, args))

  it.each(Object.entries(METHODS))('model.%s', (name, args) => {
    const method = model[name as keyof FlowModel] as (...args: never[]) => unknown
    return misuse(method.bind(model), args)
  })

  it('what takes maps', async () => {
    await misuse(model.flowFromFeatures.bind(model), [map, map, {}])
    await misuse((given: FeatureMap) => model.advance(given, frame), [map])
  })

  it('streams', async () => {
    await misuse((given: object) => model.stream(given).close(), [{}])
    using stream = model.stream()
    await misuse((given: typeof frame) => stream.push(given), [frame])
    await misuse(
      async (given: (typeof frame)[]) => {
        for await (const result of stream.from(given)) expect(result.flow).toBeNull()
      },
      [[]],
    )
  })
})

it('names a Promise that nobody waited for', async () => {
  const flow = model.flow(frame, frame)
  const later = { code: 'ERR_ARGUMENT', message: 'flow: must be a FlowField, not a Promise: await it' }
  expect(() => api.flowToColor(flow as never)).toThrow(expect.objectContaining(later))
  await expect(api.writeFlow(anywhere.replace('.none', '.flo'), flow as never)).rejects.toMatchObject(later)
  await expect(model.flow(Promise.resolve(frame) as never, frame)).rejects.toThrow('not a Promise: await it')
  await expect(model.flowFromFeatures(Promise.resolve(map) as never, map)).rejects.toThrow(
    'not a Promise: await it',
  )
  await flow
})

it('says how a field is made of what a worker got', () => {
  const { data, width, height } = field
  expect(() => api.encodeFlo(structuredClone({ data, width, height }) as never)).toThrow(
    'flow: must be a FlowField, not an object: new FlowField(width, height, data) makes one',
  )
})
