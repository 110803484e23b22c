import { describe, expectTypeOf, it } from 'vitest'
import {
  type CheckpointCandidate,
  type CheckpointChoice,
  type CheckpointSource,
  type ArrowOptions,
  type BackboneConfig,
  type Device,
  type DLPackCapsule,
  type DType,
  type EvaluateOptions,
  type FeatureMap,
  type FlowError,
  type FlowColorOptions,
  type FlowErrorCode,
  type FlowField,
  type FlowMaps,
  type FlowStep,
  type CudaArray,
  type CudaArrayFrame,
  FlowStream,
  FlowModel,
  type FlowMetricsOptions,
  type FlowModelInfo,
  type FlowPictureFromFeaturesOptions,
  type FlowPictureOptions,
  type FlowSize,
  type Frame,
  type FrameBuffer,
  type FrameShape,
  type FrameSource,
  type GlobalMotion,
  globalMotion,
  type GpuInfo,
  type InspectOptions,
  type Inspection,
  loadImage,
  type LoadOptions,
  type PixelFormat,
  type PointerFrame,
  type PngCode,
  type Precision,
  type Wait,
  type RgbImage,
  type StreamResult,
  type StreamStats,
  Tensor,
  type TensorDType,
  type TensorFrame,
  type TensorMaps,
  type TrackedPoint,
  trackPoints,
  warp,
  type WriteFlowOptions,
} from '../../lib/index.js'

declare const model: FlowModel
declare const map: FeatureMap
declare const field: FlowField
declare const frame: Frame

describe('load', () => {
  it('takes both checkpoints, as paths or URLs, or needs nothing', () => {
    expectTypeOf(FlowModel.load).parameter(0).toEqualTypeOf<LoadOptions | undefined>()
    expectTypeOf(FlowModel.load).toBeCallableWith()
    expectTypeOf<LoadOptions['backbone']>().toEqualTypeOf<CheckpointSource | undefined>()
    expectTypeOf<LoadOptions['head']>().toEqualTypeOf<CheckpointSource | undefined>()
    expectTypeOf<{ backbone: string; head: URL }>().toExtend<LoadOptions>()
    expectTypeOf<{
      backbone: { path: URL }
      head: { path: string; prefix: 'ema.' }
    }>().toExtend<LoadOptions>()
    // @ts-expect-error: no such option
    FlowModel.load({ backbone: 'a', head: 'b', gpu: true })
    // @ts-expect-error: not constructed, but loaded
    new FlowModel()
  })

  it('takes a device by name, a GPU by number', () => {
    expectTypeOf<Device>().toEqualTypeOf<'auto' | 'cpu' | 'cuda' | `cuda:${number}`>()
    expectTypeOf<LoadOptions['device']>().toEqualTypeOf<Device | undefined>()
    expectTypeOf<'cuda:3'>().toExtend<Device>()
    expectTypeOf<'cuda:'>().not.toExtend<Device>()
    expectTypeOf<'cuda:all'>().not.toExtend<Device>()
    expectTypeOf<'gpu'>().not.toExtend<Device>()
  })

  it('takes precision, wait, threads, size, signal and a listener, each of which may be undefined', () => {
    expectTypeOf<LoadOptions['precision']>().toEqualTypeOf<'auto' | Precision | undefined>()
    expectTypeOf<Precision>().toEqualTypeOf<'fp32' | 'fp16' | 'bf16'>()
    expectTypeOf<LoadOptions['wait']>().toEqualTypeOf<'auto' | Wait | undefined>()
    expectTypeOf<Wait>().toEqualTypeOf<'spin' | 'block'>()
    expectTypeOf<LoadOptions['threads']>().toEqualTypeOf<number | undefined>()
    expectTypeOf<LoadOptions['size']>().toEqualTypeOf<FlowSize | undefined>()
    expectTypeOf<FlowSize>().toEqualTypeOf<
      'seed' | 'native' | 'fit' | 'half' | readonly [height: number, width: number]
    >()
    expectTypeOf<LoadOptions['signal']>().toEqualTypeOf<AbortSignal | undefined>()
    FlowModel.load({
      backbone: 'a',
      head: 'b',
      onProgress: (progress) => {
        expectTypeOf(progress).toEqualTypeOf<{ readonly loaded: number; readonly total: number }>()
      },
    })
  })

  it('gives a model', () => {
    expectTypeOf(FlowModel.load).returns.resolves.toEqualTypeOf<FlowModel>()
  })
})

describe('a frame', () => {
  it('has one of the formats of the table, or FFmpeg’s name of one', () => {
    expectTypeOf<'rgb' | 'gray' | 'nv12' | 'i420' | 'yuyv' | 'yuv420p'>().toExtend<PixelFormat>()
    expectTypeOf<Frame['format']>().toEqualTypeOf<PixelFormat | undefined>()
    // @ts-expect-error: no such format
    model.flow({ data: new Uint8Array(3), width: 1, height: 1, format: 'yuv' }, frame)
  })

  it('has bytes, in a Uint8Array, Buffer or Uint8ClampedArray, in shared memory or not', () => {
    expectTypeOf<Buffer>().toExtend<Frame['data']>()
    expectTypeOf<Uint8ClampedArray>().toExtend<Frame['data']>()
    expectTypeOf<Uint8Array<SharedArrayBuffer>>().toExtend<Frame['data']>()
    expectTypeOf<Float32Array>().not.toExtend<Frame['data']>()
    expectTypeOf<number[]>().not.toExtend<Frame['data']>()
  })

  it('may be a path or a URL', () => {
    expectTypeOf<FrameSource>().toEqualTypeOf<
      Frame | TensorFrame | PointerFrame | CudaArrayFrame | string | URL | Uint8Array
    >()
  })

  it('of a file tells its fault, and the code of a PNG is one of three', () => {
    expectTypeOf(loadImage).returns.resolves.toHaveProperty('fault').toEqualTypeOf<string | undefined>()
    expectTypeOf<PngCode>().toEqualTypeOf<'kitti' | 'dsec' | 'vkitti2'>()
  })
})

describe('memory that a model makes', () => {
  it('is a field for `into`, and a frame whose bytes may be written', () => {
    expectTypeOf(model.createField(640, 480)).toEqualTypeOf<FlowField>()
    expectTypeOf(model.createFrame({ width: 640, height: 480, format: 'bgr' })).toEqualTypeOf<FrameBuffer>()
    expectTypeOf<FrameBuffer>().toExtend<Frame>()
    expectTypeOf<FrameBuffer['data']>().toEqualTypeOf<Uint8Array<ArrayBuffer>>()
    expectTypeOf<FrameBuffer['format']>().toEqualTypeOf<PixelFormat>()
    expectTypeOf<FrameShape['format']>().toEqualTypeOf<PixelFormat | undefined>()
    expectTypeOf<Frame>().toExtend<Pick<FrameShape, 'width' | 'height'>>()
    // @ts-expect-error: a frame has a size
    model.createFrame({ format: 'rgb' })
  })
})

describe('a call', () => {
  it('gives a promise, and its synchronous twin the value', () => {
    expectTypeOf(model.flow(frame, 'b.png')).resolves.toEqualTypeOf<FlowField>()
    expectTypeOf(model.flowSync(frame, frame)).toEqualTypeOf<FlowField>()
    expectTypeOf(model.features(frame)).resolves.toEqualTypeOf<FeatureMap>()
    expectTypeOf(model.featuresSync(frame)).toEqualTypeOf<FeatureMap>()
    expectTypeOf(model.flowFromFeatures(map, map)).resolves.toEqualTypeOf<FlowField>()
    expectTypeOf(model.flowFromFeaturesSync(map, map)).toEqualTypeOf<FlowField>()
    expectTypeOf(model.advance(map, frame)).resolves.toEqualTypeOf<FlowStep>()
    expectTypeOf(model.advanceSync(map, frame)).toEqualTypeOf<FlowStep>()
    expectTypeOf(model.flowPicture(frame, 'b.png')).resolves.toEqualTypeOf<RgbImage>()
    expectTypeOf(model.flowPictureSync(frame, frame)).toEqualTypeOf<RgbImage>()
    expectTypeOf(model.flowPictureFromFeatures(map, map)).resolves.toEqualTypeOf<RgbImage>()
    expectTypeOf(model.flowPictureFromFeaturesSync(map, map)).toEqualTypeOf<RgbImage>()
    expectTypeOf(model.flowMapsSync(frame, frame)).toEqualTypeOf<FlowMaps>()
    expectTypeOf(model.flowMapsFromFeaturesSync(map, map)).toEqualTypeOf<FlowMaps>()
    expectTypeOf(map.read()).resolves.toEqualTypeOf<Float32Array>()
    expectTypeOf(map.readSync()).toEqualTypeOf<Float32Array>()
    expectTypeOf(model.dispose()).resolves.toEqualTypeOf<void>()
  })

  it('takes a signal only where it can be cancelled', () => {
    const { signal } = new AbortController()
    model.flow(frame, frame, { size: [32, 48], output: 'model', into: field, signal })
    map.read({ into: new Float32Array(4), signal })
    // @ts-expect-error: a synchronous call cannot be cancelled
    model.flowSync(frame, frame, { signal })
    // @ts-expect-error: a synchronous call cannot be cancelled
    model.flowMapsSync(frame, frame, { signal })
    // @ts-expect-error: a synchronous call cannot be cancelled
    map.readSync({ signal })
  })

  it('for a picture takes the options of a flow and of colours, but no field to write', () => {
    const { signal } = new AbortController()
    model.flowPicture(frame, frame, {
      size: [32, 48],
      output: 'model',
      scale: 20,
      clipMax: undefined,
      signal,
    })
    model.flowPictureFromFeatures(map, map, { output: [32, 48], clipMin: 1, signal })
    expectTypeOf<FlowPictureFromFeaturesOptions>().toExtend<FlowColorOptions>()
    expectTypeOf<FlowPictureOptions>().toExtend<FlowPictureFromFeaturesOptions>()
    // @ts-expect-error: a picture is no field
    model.flowPicture(frame, frame, { into: field })
    // @ts-expect-error: features have their size
    model.flowPictureFromFeatures(map, map, { size: [32, 48] })
  })

  it('takes a size of two numbers', () => {
    // @ts-expect-error: one number
    model.flow(frame, frame, { size: 640 })
    // @ts-expect-error: three numbers
    model.flow(frame, frame, { output: [1, 2, 3] })
  })

  it('takes feature maps that a model made, and nothing that looks like them', () => {
    // @ts-expect-error: not made by a model
    model.flowFromFeatures({ ...map }, map)
  })
})

describe('a result is readonly', () => {
  it('in its sizes and its arrays', () => {
    // @ts-expect-error: readonly
    field.width = 5
    // @ts-expect-error: readonly
    field.data = new Float32Array(2)
    // @ts-expect-error: readonly
    map.dim = 5
    // @ts-expect-error: readonly
    model.info = { ...model.info }
    expectTypeOf(field.data).toEqualTypeOf<Float32Array>()
  })

  it('in everything that is told of the model', () => {
    expectTypeOf<FlowModelInfo>().toEqualTypeOf<Readonly<FlowModelInfo>>()
    expectTypeOf<BackboneConfig>().toEqualTypeOf<Readonly<BackboneConfig>>()
    // @ts-expect-error: readonly
    model.info.memory.weights = 0
    // @ts-expect-error: readonly
    model.info.unused.head.push('name')
    expectTypeOf(model.info.choice.head).toEqualTypeOf<CheckpointChoice>()
    expectTypeOf(model.info.choice.head.others).toEqualTypeOf<readonly CheckpointCandidate[]>()
    expectTypeOf(model.info.ropePeriods).toEqualTypeOf<'file' | 'float32' | 'bfloat16'>()
    expectTypeOf(model.info.normalization.from).toEqualTypeOf<'option' | 'file' | 'default'>()
    expectTypeOf(model.info.engine).toEqualTypeOf<'cpu' | 'cuda'>()
    expectTypeOf(model.info.precision).toEqualTypeOf<Precision>()
    expectTypeOf(model.info.gpu).toEqualTypeOf<GpuInfo | null>()
    expectTypeOf<GpuInfo['wait']>().toEqualTypeOf<Wait>()
  })
})

describe('an option', () => {
  it('may be undefined, whoever it is for', () => {
    const maybe = undefined as number | undefined
    expectTypeOf<{
      scale: typeof maybe
      clipMax: undefined
      clipMin: undefined
    }>().toExtend<FlowColorOptions>()
    expectTypeOf<{ step: typeof maybe; scale: undefined; color: undefined }>().toExtend<ArrowOptions>()
    expectTypeOf<{ maxFlow: typeof maybe }>().toExtend<FlowMetricsOptions>()
    expectTypeOf<{ valid: undefined }>().toExtend<EvaluateOptions>()
    expectTypeOf<{ format: undefined }>().toExtend<WriteFlowOptions>()
    expectTypeOf<InspectOptions['backboneConfig']>().toEqualTypeOf<LoadOptions['backboneConfig']>()
  })

  it('names the type of a tensor', () => {
    expectTypeOf<Inspection['tensors'][number]['dtype']>().toEqualTypeOf<DType>()
  })
})

describe('an error', () => {
  it('has one of these codes', () => {
    expectTypeOf<FlowErrorCode>().toEqualTypeOf<
      | 'ERR_ARGUMENT'
      | 'ERR_FRAME'
      | 'ERR_FORMAT'
      | 'ERR_CHECKPOINT_FORMAT'
      | 'ERR_CHECKPOINT_TENSOR'
      | 'ERR_DEVICE'
      | 'ERR_OUT_OF_MEMORY'
      | 'ERR_DISPOSED'
      | 'ERR_ABORTED'
      | 'ERR_QUEUE_FULL'
      | 'ERR_PRECISION'
      | 'ERR_IO'
      | 'ERR_NATIVE'
    >()
    expectTypeOf<FlowError>().toExtend<Error>()
    expectTypeOf<FlowError['code']>().toEqualTypeOf<FlowErrorCode>()
    expectTypeOf<FlowError['name']>().toEqualTypeOf<'FlowError'>()
  })
})

describe('helpers', () => {
  it('a picture that is warped keeps the type of its values, and a field stays a field', () => {
    const picture: RgbImage = { data: new Uint8Array(3), width: 1, height: 1 }
    expectTypeOf(warp(picture, field).data).toEqualTypeOf<Uint8Array>()
    expectTypeOf(warp({ ...picture, data: new Float32Array(1) }, field).data).toExtend<Float32Array>()
    expectTypeOf(warp(field, field).flow).toEqualTypeOf<FlowField>()
    // @ts-expect-error: the outside of a field is unknown
    warp(field, field, { border: 'edge' })
    // @ts-expect-error: of another kind than the image's values
    warp(picture, field, { into: new Float32Array(3) })
  })

  it('a global motion may be null, and takes the maps of a result', async () => {
    const result = await model.flowMaps(frame, frame, { confidence: true })
    const motion = globalMotion(result.flow, { ...result, model: 'similarity' })
    expectTypeOf(motion).toEqualTypeOf<GlobalMotion | null>()
    // @ts-expect-error: no such motion
    globalMotion(result.flow, { model: 'affine' })
  })

  it('points are carried along the results of a stream', async () => {
    for await (const { points, result } of trackPoints(model.stream().from([frame]), [{ x: 1, y: 2 }])) {
      expectTypeOf(points).toEqualTypeOf<readonly TrackedPoint[]>()
      expectTypeOf(result).toEqualTypeOf<StreamResult>()
    }
  })
})

describe('a stream', () => {
  const stream = model.stream({ backward: true, queue: { depth: 1, policy: 'drop-oldest' }, sceneCut: 0.4 })

  it('gives a result with a flow, or the reason why there is none', async () => {
    expectTypeOf(stream).toEqualTypeOf<FlowStream>()
    const result = await stream.push(frame, { timestamp: 1, into: field })
    expectTypeOf(result).toEqualTypeOf<StreamResult | undefined>()
    if (result === undefined) return
    if (result.flow === null) {
      expectTypeOf(result.reason).toEqualTypeOf<
        'first' | 'size' | 'cut' | 'dropped' | 'deadline' | 'failed'
      >()
      return
    }
    expectTypeOf(result.flow).toEqualTypeOf<FlowField>()
    expectTypeOf(result.features).toEqualTypeOf<FeatureMap | undefined>()
    expectTypeOf(result.backward).toEqualTypeOf<FlowField | undefined>()
    expectTypeOf(result.occlusion?.data).toEqualTypeOf<Uint8Array | undefined>()
    expectTypeOf(result.confidence?.data).toEqualTypeOf<Float32Array | undefined>()
    expectTypeOf(stream.pushSync(frame)).toEqualTypeOf<StreamResult | undefined>()
    // @ts-expect-error: a synchronous push cannot be aborted
    stream.pushSync(frame, { signal: new AbortController().signal })
    // @ts-expect-error: not constructed, but made by a model
    new FlowStream()
    // @ts-expect-error: no such policy
    model.stream({ queue: { policy: 'drop' } })
  })

  it('takes frames of any iterable', () => {
    expectTypeOf(stream.from([frame, 'a.png'])).toExtend<AsyncIterable<StreamResult>>()
    expectTypeOf(stream.from).parameter(0).toEqualTypeOf<AsyncIterable<FrameSource> | Iterable<FrameSource>>()
  })

  it('counts', () => {
    expectTypeOf(stream.stats()).toEqualTypeOf<StreamStats>()
    expectTypeOf<StreamStats['total']['p999']>().toEqualTypeOf<number>()
  })
})

describe('tensors', () => {
  it('have the array of their type', () => {
    expectTypeOf(model.createTensor([2, 3])).toEqualTypeOf<Tensor<'float32'>>()
    expectTypeOf(model.createTensor([2, 3], 'uint8').data).toEqualTypeOf<Uint8Array | null>()
    expectTypeOf(model.createTensor([2, 3], 'bfloat16').toHost()).resolves.toEqualTypeOf<Uint16Array>()
    expectTypeOf(map.tensor.toHostSync()).toEqualTypeOf<Float32Array>()
    expectTypeOf(map.tensor.slice(1)).toEqualTypeOf<Tensor<'float32'>>()
    expectTypeOf(map.tensor.pointer).toEqualTypeOf<bigint>()
    expectTypeOf(map.tensor.toDLPack()).toEqualTypeOf<DLPackCapsule>()
    expectTypeOf(model.fromDLPack(map.tensor.toDLPack())).toEqualTypeOf<Tensor<TensorDType>>()
    expectTypeOf(model.fromDLPack(map.tensor.toDLPack(), 'uint8')).toEqualTypeOf<Tensor<'uint8'>>()
    model.fromDLPack(map.tensor.toDLPack(), 'uint8', { stream: 1n })
    // @ts-expect-error a stream is a bigint
    model.fromDLPack(map.tensor.toDLPack(), 'uint8', { stream: 1 })
    // @ts-expect-error an object is no capsule
    model.fromDLPack({})
    model.createTensor([3], 'uint8', { data: new Uint8Array(new SharedArrayBuffer(3)) })
    // @ts-expect-error: no such type
    model.createTensor([3], 'float64')
    // @ts-expect-error: an array of another type
    model.createTensor([3], 'uint8', { data: new Float32Array(3) })
    // @ts-expect-error: a tensor of another type
    map.tensor.copyFromSync(model.createTensor([3], 'uint8'))
    // @ts-expect-error: a synchronous call cannot be aborted
    map.tensor.toHostSync({ signal: new AbortController().signal })
    // @ts-expect-error: not constructed, but made by a model
    new Tensor()
  })

  it('are the results of calls that ask for them', () => {
    const output = { on: 'device', size: [4, 5] } as const
    const into = model.createTensor([2, 4, 5])
    expectTypeOf(model.flow(frame, frame, { output })).resolves.toEqualTypeOf<Tensor<'float32'>>()
    expectTypeOf(model.flowSync(frame, frame, { into })).toEqualTypeOf<Tensor<'float32'>>()
    expectTypeOf(model.flow(frame, frame, { output: [4, 5] })).resolves.toEqualTypeOf<FlowField>()
    expectTypeOf(model.advance(map, frame, { into })).resolves.toEqualTypeOf<FlowStep<Tensor<'float32'>>>()
    expectTypeOf(model.flowMapsSync(frame, frame, { output })).toEqualTypeOf<TensorMaps>()
    expectTypeOf(model.flowPicture(frame, frame, { output })).resolves.toEqualTypeOf<Tensor<'uint8'>>()
    const pixels = { data: model.createTensor([4, 5, 3], 'uint8'), width: 5, height: 4 }
    expectTypeOf(pixels).toExtend<FrameSource>()
    expectTypeOf<{ pointer: bigint; width: 5; height: 4; format: 'nv12' }>().toExtend<FrameSource>()
    const array: CudaArray = { shape: [4, 5, 3], typestr: '|u1', data: [4096n, false], version: 3 }
    expectTypeOf(array).toExtend<FrameSource>()
    expectTypeOf({ __cuda_array_interface__: array, format: 'bgr' as const }).toExtend<FrameSource>()
    expectTypeOf(model.createTensor(array)).toEqualTypeOf<Tensor>()
    expectTypeOf(model.openShared(map.tensor.share())).toEqualTypeOf<Tensor>()
    model.createTensor([4], 'uint8', { pointer: 4096n })
    // @ts-expect-error: no address
    model.createTensor([4], 'uint8', { pointer: 4096 })
    // @ts-expect-error: a tensor of another type
    model.flow(frame, frame, { into: pixels.data })
    // @ts-expect-error: no such place
    model.flow(frame, frame, { output: { on: 'gpu' } })
  })

  it('are the results of a stream that asks for them', async () => {
    const stream = model.stream({ output: { on: 'device' }, backward: true })
    expectTypeOf(stream).toEqualTypeOf<FlowStream<TensorMaps>>()
    const result = stream.pushSync(frame, { into: model.createTensor([2, 4, 5]) })
    if (!result?.flow) return
    expectTypeOf(result.flow).toEqualTypeOf<Tensor<'float32'>>()
    expectTypeOf(result.occlusion).toEqualTypeOf<Tensor<'uint8'> | undefined>()
    for await (const { flow } of stream.from([frame]))
      expectTypeOf(flow).toEqualTypeOf<Tensor<'float32'> | null>()
    // @ts-expect-error: a field for a tensor
    await stream.push(frame, { into: field })
    // @ts-expect-error: a tensor for a field
    await model.stream().push(frame, { into: model.createTensor([2, 4, 5]) })
  })
})
