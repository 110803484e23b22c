import { CallQueue } from './calls/call-queue.js'
import { partsInFlight } from './calls/scheduler.js'
import { fieldMaker, tensorMaker } from './calls/stream-results.js'
import type { FeatureMap } from './feature-map.js'
import { fieldLength, FlowField } from './flow-field.js'
import { type FrameBuffer, type FrameShape, type FrameSource, makeFrame } from './frame.js'
import type { RgbImage } from './image/rgb-image.js'
import {
  checkProgress,
  defaultsOf,
  type FlowModelInfo,
  type FlowModelNumerics,
  type LoadedModel,
  loadModel,
  type LoadOptions,
} from './load.js'
import type { DLPackCapsule } from './native/contract.js'
import { callNative, type CallSite, callSite } from './native/failure.js'
import type { Prepared, PrepareOptions } from './prepare.js'
import {
  type Defaults,
  type FeaturesOptions,
  type FeaturesSyncOptions,
  type FlowFromFeaturesOptions,
  type FlowMaps,
  type FlowMapsFromFeaturesOptions,
  type FlowMapsOptions,
  type FlowOptions,
  type FlowPictureFromFeaturesOptions,
  type FlowPictureOptions,
  type FlowStep,
  type FlowSyncOptions,
  type OutputOptions,
  RequestPlanner,
  type TensorMaps,
} from './request.js'
import { checkFrameSize, isFrameSize, type OutputSize } from './size.js'
import { createStream, type FlowStream } from './stream.js'
import type { StreamOptions } from './stream-options.js'
import { allocateBytes } from './support/allocate.js'
import {
  borrowTensor,
  type DLPackOptions,
  makeTensor,
  openTensor,
  type Tensor,
  tensorOfArray,
  type TensorOptions,
} from './tensor.js'
import { type CudaArraySource, isCudaArray } from './tensor/cuda-array.js'
import type { TensorDType } from './tensor/dtype.js'
import type { SharedTensor } from './tensor/shared-tensor.js'
import { isDeviceOutput, type OnDevice, type ToTensors } from './tensor/results.js'
import { cacheFolder } from './tensorrt/cache-folder.js'
import { PlanCache } from './tensorrt/plan-cache.js'
import { Preparer } from './tensorrt/preparer.js'

/**
 * A DINOv3 backbone and a flow head, on a thread of their own.
 *
 * Calls run one after the other, in the order in which they were made. A call with paths takes its turn once its frames are
 * decoded. Only calls whose name ends in Sync block the event loop: they wait for the calls before them. A model keeps the
 * process alive only while calls are pending.
 */
export class FlowModel {
  /** The loaded architecture, and the engine that it runs on. */
  readonly info: FlowModelInfo
  readonly #calls: CallQueue
  readonly #requests: RequestPlanner
  readonly #preparer: Preparer

  private constructor({ native, info, source }: LoadedModel, defaults: Defaults) {
    this.#calls = new CallQueue(native, partsInFlight(info))
    this.info = info
    this.#requests = new RequestPlanner(this.#calls, info, defaults)
    this.#preparer = new Preparer(this.#calls, info, source, new PlanCache(cacheFolder()))
  }

  /**
   * Loads both checkpoints, or the small model of the package if none are given. Every value of the weights is checked.
   *
   * @throws {FlowError} `ERR_IO`, `ERR_CHECKPOINT_FORMAT` or `ERR_CHECKPOINT_TENSOR`, naming the file, the tensor and the
   *   reason; `ERR_ARGUMENT` for an option; `ERR_DEVICE` for a device that is missing; `ERR_OUT_OF_MEMORY`; `ERR_ABORTED`;
   *   `ERR_PRECISION` for weights beyond the range of the precision; `ERR_NATIVE` if the addon cannot be loaded
   */
  static async load(options: LoadOptions = {}): Promise<FlowModel> {
    const site = callSite(FlowModel.load)
    const { size, refine } = defaultsOf(options ?? {})
    const loaded = await loadModel(options, site)
    const model = new FlowModel(loaded, { size, refine })
    try {
      // Whether a size is valid depends on the checkpoint's patch size.
      if (!isFrameSize(size)) model.#requests.grid(size, { height: 1, width: 1 })
    } catch (error) {
      model.disposeSync()
      throw error
    }
    return model
  }

  /**
   * What the model does about values beyond the range of its precision, as of the last call that was answered. Some weights have
   * hidden values above 65504, where fp16 ends. The first frame that has such values takes longer: it is computed again, with
   * an exact scale for them or in bf16, and is right like every other.
   */
  get numerics(): FlowModelNumerics {
    return this.#calls.native.describe().numerics
  }

  /** Whether `dispose` or `disposeSync` was called. */
  get disposed(): boolean {
    return this.#calls.closed
  }

  /**
   * Makes everything ready for frames of a size, which with `backboneEngine` `'auto'` or `'tensorrt'` is an engine of TensorRT: it is
   * found in the cache or built, which takes minutes; it is run beside the kernels, and used if it computes the same and, with
   * `'auto'`, is faster. Else frames of that size are computed by the kernels, as those of any size that was not prepared. That is no
   * error; with `'tensorrt'`, a warning tells of it.
   *
   * A size is prepared once. It takes its turn among the calls of the model: those that are made meanwhile wait.
   *
   * @throws {FlowError} `ERR_ARGUMENT` for a size or an option; `ERR_ABORTED`; `ERR_DISPOSED`
   */
  prepare(frame: OutputSize, options: PrepareOptions = {}): Promise<Prepared> {
    const site = callSite(FlowModel.prototype.prepare)
    return this.#calls.track(async () => {
      this.#calls.check(options)
      checkProgress(options.onProgress)
      const grid = this.#requests.grid(options.size, checkFrameSize(frame))
      return this.#preparer.prepare(site, grid, options)
    })
  }

  /** What {@link prepare} has prepared. */
  get prepared(): readonly Prepared[] {
    return this.#preparer.prepared
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flow(a: FrameSource, b: FrameSource, options: ToTensors<FlowOptions>): Promise<Tensor<'float32'>>
  /**
   * The flow from `a` to `b`: the motion of every pixel of `a`. The frames may have different sizes: both are resized to the
   * size of the network. The flow is in pixels of `a`, unless `output` says otherwise.
   *
   * @throws {FlowError} `ERR_FRAME`, `ERR_IO` or `ERR_ARGUMENT` for a frame or an option that cannot be used; `ERR_ABORTED`;
   *   `ERR_DISPOSED`; `ERR_OUT_OF_MEMORY`; `ERR_PRECISION` for a frame whose values are beyond the range of the precision;
   *   `ERR_NATIVE` for a path if `sharp` cannot be loaded
   */
  flow(a: FrameSource, b: FrameSource, options?: FlowOptions): Promise<FlowField>
  flow(
    a: FrameSource,
    b: FrameSource,
    options: FlowOptions | ToTensors<FlowOptions> = {},
  ): Promise<FlowField | Tensor<'float32'>> {
    return this.#calls.submit(FlowModel.prototype.flow, this.#requests.flow(a, b, options))
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowSync(a: FrameSource, b: FrameSource, options: ToTensors<FlowSyncOptions>): Tensor<'float32'>
  /**
   * As {@link flow}, for decoded frames. Blocks until this call and all calls before it are done.
   *
   * @throws {FlowError} as `flow`
   */
  flowSync(a: FrameSource, b: FrameSource, options?: FlowSyncOptions): FlowField
  flowSync(
    a: FrameSource,
    b: FrameSource,
    options: FlowSyncOptions | ToTensors<FlowSyncOptions> = {},
  ): FlowField | Tensor<'float32'> {
    return this.#calls.run(FlowModel.prototype.flowSync, this.#requests.flow(a, b, options))
  }

  /**
   * Runs only the backbone. A frame's features serve every flow from it and to it. So a video costs one backbone pass per
   * frame, and a backward flow costs one more pass of the head.
   *
   * @throws {FlowError} as `flow`
   */
  features(frame: FrameSource, options: FeaturesOptions = {}): Promise<FeatureMap> {
    return this.#calls.submit(FlowModel.prototype.features, this.#requests.features(frame, options))
  }

  /**
   * As {@link features}, for a decoded frame. Blocks until this call and all calls before it are done.
   *
   * @throws {FlowError} as `flow`
   */
  featuresSync(frame: FrameSource, options: FeaturesSyncOptions = {}): FeatureMap {
    return this.#calls.run(FlowModel.prototype.featuresSync, this.#requests.features(frame, options))
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowFromFeatures(
    a: FeatureMap,
    b: FeatureMap,
    options: ToTensors<FlowFromFeaturesOptions>,
  ): Promise<Tensor<'float32'>>
  /**
   * The flow from the frame of `a` to the frame of `b`. Runs only the head. The result is exactly that of {@link flow} for
   * those frames.
   *
   * @throws {FlowError} `ERR_ARGUMENT` for maps of another model or of different sizes; `ERR_DISPOSED` for a disposed one;
   *   else as `flow`
   */
  flowFromFeatures(a: FeatureMap, b: FeatureMap, options?: FlowFromFeaturesOptions): Promise<FlowField>
  flowFromFeatures(
    a: FeatureMap,
    b: FeatureMap,
    options: FlowFromFeaturesOptions | ToTensors<FlowFromFeaturesOptions> = {},
  ): Promise<FlowField | Tensor<'float32'>> {
    return this.#calls.submit(
      FlowModel.prototype.flowFromFeatures,
      this.#requests.flowFromFeatures(a, b, options),
    )
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowFromFeaturesSync(a: FeatureMap, b: FeatureMap, options: ToTensors<OutputOptions>): Tensor<'float32'>
  /**
   * As {@link flowFromFeatures}. Blocks until this call and all calls before it are done.
   *
   * @throws {FlowError} as `flowFromFeatures`
   */
  flowFromFeaturesSync(a: FeatureMap, b: FeatureMap, options?: OutputOptions): FlowField
  flowFromFeaturesSync(
    a: FeatureMap,
    b: FeatureMap,
    options: OutputOptions | ToTensors<OutputOptions> = {},
  ): FlowField | Tensor<'float32'> {
    return this.#calls.run(
      FlowModel.prototype.flowFromFeaturesSync,
      this.#requests.flowFromFeatures(a, b, options),
    )
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  advance(
    before: FeatureMap,
    frame: FrameSource,
    options: ToTensors<FlowFromFeaturesOptions>,
  ): Promise<FlowStep<Tensor<'float32'>>>
  /**
   * The next frame of a stream: its features, at the size of those in `before`, and the flow from the frame of `before` to it.
   * The results are exactly those of {@link features} and {@link flowFromFeatures}, but in one call, which a GPU runs as one
   * graph.
   *
   * @throws {FlowError} as `flowFromFeatures`; then there is nothing to dispose
   */
  advance(before: FeatureMap, frame: FrameSource, options?: FlowFromFeaturesOptions): Promise<FlowStep>
  advance(
    before: FeatureMap,
    frame: FrameSource,
    options: FlowFromFeaturesOptions | ToTensors<FlowFromFeaturesOptions> = {},
  ): Promise<FlowStep<FlowField | Tensor<'float32'>>> {
    return this.#calls.submit(FlowModel.prototype.advance, this.#requests.advance(before, frame, options))
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  advanceSync(
    before: FeatureMap,
    frame: FrameSource,
    options: ToTensors<OutputOptions>,
  ): FlowStep<Tensor<'float32'>>
  /**
   * As {@link advance}, for a decoded frame. Blocks until this call and all calls before it are done.
   *
   * @throws {FlowError} as `advance`
   */
  advanceSync(before: FeatureMap, frame: FrameSource, options?: OutputOptions): FlowStep
  advanceSync(
    before: FeatureMap,
    frame: FrameSource,
    options: OutputOptions | ToTensors<OutputOptions> = {},
  ): FlowStep<FlowField | Tensor<'float32'>> {
    return this.#calls.run(FlowModel.prototype.advanceSync, this.#requests.advance(before, frame, options))
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowMaps(a: FrameSource, b: FrameSource, options: ToTensors<FlowMapsOptions>): Promise<TensorMaps>
  /**
   * The flow from `a` to `b` as {@link flow} gives it, and maps for its pixels: where they are hidden in `b`, how certain their
   * motion is, and the flow back.
   *
   * @throws {FlowError} as `flow`
   */
  flowMaps(a: FrameSource, b: FrameSource, options?: FlowMapsOptions): Promise<FlowMaps>
  flowMaps(
    a: FrameSource,
    b: FrameSource,
    options: FlowMapsOptions | ToTensors<FlowMapsOptions> = {},
  ): Promise<FlowMaps | TensorMaps> {
    return this.#calls.submit(FlowModel.prototype.flowMaps, this.#requests.maps(a, b, options))
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowMapsSync(
    a: FrameSource,
    b: FrameSource,
    options: ToTensors<Omit<FlowMapsOptions, 'signal'>>,
  ): TensorMaps
  /**
   * As {@link flowMaps}, for decoded frames. Blocks until this call and all calls before it are done.
   *
   * @throws {FlowError} as `flow`
   */
  flowMapsSync(a: FrameSource, b: FrameSource, options?: Omit<FlowMapsOptions, 'signal'>): FlowMaps
  flowMapsSync(
    a: FrameSource,
    b: FrameSource,
    options: Omit<FlowMapsOptions, 'signal'> | ToTensors<Omit<FlowMapsOptions, 'signal'>> = {},
  ): FlowMaps | TensorMaps {
    return this.#calls.run(FlowModel.prototype.flowMapsSync, this.#requests.maps(a, b, options))
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowMapsFromFeatures(
    a: FeatureMap,
    b: FeatureMap,
    options: ToTensors<FlowMapsFromFeaturesOptions>,
  ): Promise<TensorMaps>
  /**
   * The flow from the frame of `a` to the frame of `b`, and maps for its pixels. Runs no backbone. The results are exactly those
   * of {@link flowMaps} for those frames.
   *
   * @throws {FlowError} as `flowFromFeatures`
   */
  flowMapsFromFeatures(a: FeatureMap, b: FeatureMap, options?: FlowMapsFromFeaturesOptions): Promise<FlowMaps>
  flowMapsFromFeatures(
    a: FeatureMap,
    b: FeatureMap,
    options: FlowMapsFromFeaturesOptions | ToTensors<FlowMapsFromFeaturesOptions> = {},
  ): Promise<FlowMaps | TensorMaps> {
    return this.#calls.submit(
      FlowModel.prototype.flowMapsFromFeatures,
      this.#requests.mapsFromFeatures(a, b, options),
    )
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowMapsFromFeaturesSync(
    a: FeatureMap,
    b: FeatureMap,
    options: ToTensors<Omit<FlowMapsFromFeaturesOptions, 'signal'>>,
  ): TensorMaps
  /**
   * As {@link flowMapsFromFeatures}. Blocks until this call and all calls before it are done.
   *
   * @throws {FlowError} as `flowFromFeatures`
   */
  flowMapsFromFeaturesSync(
    a: FeatureMap,
    b: FeatureMap,
    options?: Omit<FlowMapsFromFeaturesOptions, 'signal'>,
  ): FlowMaps
  flowMapsFromFeaturesSync(
    a: FeatureMap,
    b: FeatureMap,
    options:
      | Omit<FlowMapsFromFeaturesOptions, 'signal'>
      | ToTensors<Omit<FlowMapsFromFeaturesOptions, 'signal'>> = {},
  ): FlowMaps | TensorMaps {
    return this.#calls.run(
      FlowModel.prototype.flowMapsFromFeaturesSync,
      this.#requests.mapsFromFeatures(a, b, options),
    )
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowPicture(a: FrameSource, b: FrameSource, options: OnDevice<FlowPictureOptions>): Promise<Tensor<'uint8'>>
  /**
   * The flow from `a` to `b` as a picture of the output's size: {@link flow}, drawn by `flowToColor`. The engine computes flow
   * and colours, and this thread does nothing. A GPU sends only the picture's `3 * width * height` bytes, instead of the flow's
   * `8 * width * height`. The lengths among the options are in pixels of the output.
   *
   * On the CPU the picture is that of `flowToColor`; on a GPU a value may differ from it by 1 of 255.
   *
   * @throws {FlowError} `ERR_ARGUMENT` for a colour option that is not a positive number; else as `flow`
   */
  flowPicture(a: FrameSource, b: FrameSource, options?: FlowPictureOptions): Promise<RgbImage>
  flowPicture(
    a: FrameSource,
    b: FrameSource,
    options: FlowPictureOptions | OnDevice<FlowPictureOptions> = {},
  ): Promise<RgbImage | Tensor<'uint8'>> {
    return this.#calls.submit(FlowModel.prototype.flowPicture, this.#requests.picture(a, b, options))
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowPictureSync(
    a: FrameSource,
    b: FrameSource,
    options: OnDevice<Omit<FlowPictureOptions, 'signal'>>,
  ): Tensor<'uint8'>
  /**
   * As {@link flowPicture}, for decoded frames. Blocks until this call and all calls before it are done.
   *
   * @throws {FlowError} as `flowPicture`
   */
  flowPictureSync(a: FrameSource, b: FrameSource, options?: Omit<FlowPictureOptions, 'signal'>): RgbImage
  flowPictureSync(
    a: FrameSource,
    b: FrameSource,
    options: Omit<FlowPictureOptions, 'signal'> | OnDevice<Omit<FlowPictureOptions, 'signal'>> = {},
  ): RgbImage | Tensor<'uint8'> {
    return this.#calls.run(FlowModel.prototype.flowPictureSync, this.#requests.picture(a, b, options))
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowPictureFromFeatures(
    a: FeatureMap,
    b: FeatureMap,
    options: OnDevice<FlowPictureFromFeaturesOptions>,
  ): Promise<Tensor<'uint8'>>
  /**
   * The flow from the frame of `a` to the frame of `b` as a picture. Runs only the head. The result is exactly that of
   * {@link flowPicture} for those frames.
   *
   * @throws {FlowError} `ERR_ARGUMENT` for a colour option that is not a positive number; else as `flowFromFeatures`
   */
  flowPictureFromFeatures(
    a: FeatureMap,
    b: FeatureMap,
    options?: FlowPictureFromFeaturesOptions,
  ): Promise<RgbImage>
  flowPictureFromFeatures(
    a: FeatureMap,
    b: FeatureMap,
    options: FlowPictureFromFeaturesOptions | OnDevice<FlowPictureFromFeaturesOptions> = {},
  ): Promise<RgbImage | Tensor<'uint8'>> {
    return this.#calls.submit(
      FlowModel.prototype.flowPictureFromFeatures,
      this.#requests.pictureFromFeatures(a, b, options),
    )
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  flowPictureFromFeaturesSync(
    a: FeatureMap,
    b: FeatureMap,
    options: OnDevice<Omit<FlowPictureFromFeaturesOptions, 'signal'>>,
  ): Tensor<'uint8'>
  /**
   * As {@link flowPictureFromFeatures}. Blocks until this call and all calls before it are done.
   *
   * @throws {FlowError} as `flowPictureFromFeatures`
   */
  flowPictureFromFeaturesSync(
    a: FeatureMap,
    b: FeatureMap,
    options?: Omit<FlowPictureFromFeaturesOptions, 'signal'>,
  ): RgbImage
  flowPictureFromFeaturesSync(
    a: FeatureMap,
    b: FeatureMap,
    options:
      | Omit<FlowPictureFromFeaturesOptions, 'signal'>
      | OnDevice<Omit<FlowPictureFromFeaturesOptions, 'signal'>> = {},
  ): RgbImage | Tensor<'uint8'> {
    return this.#calls.run(
      FlowModel.prototype.flowPictureFromFeaturesSync,
      this.#requests.pictureFromFeatures(a, b, options),
    )
  }

  /** The results as tensors, in the memory that the engine computes in. A GPU then copies nothing to the host. */
  stream(options: OnDevice<StreamOptions>): FlowStream<TensorMaps>
  /**
   * A stream of frames: one backbone pass for each, a bounded queue, and flow from each frame to the next.
   *
   * @throws {FlowError} `ERR_ARGUMENT` for an option; `ERR_ABORTED`; `ERR_DISPOSED`
   */
  stream(options?: StreamOptions): FlowStream
  stream(options: StreamOptions | OnDevice<StreamOptions> = {}): FlowStream | FlowStream<TensorMaps> {
    this.#calls.check({})
    if (isDeviceOutput(options?.output))
      return createStream(this.#calls, this.#requests, tensorMaker(options, this.#calls), options)
    const makeField =
      options?.reuse === true
        ? (width: number, height: number) => this.createField(width, height)
        : (width: number, height: number) => new FlowField(width, height)
    return createStream(this.#calls, this.#requests, fieldMaker(options, makeField), options)
  }

  /**
   * A field of zeros for `into`. On a GPU its memory is page-locked, and the device writes it directly, which saves one copy of
   * the flow. Make it once and use it again: it takes longer to make than an ordinary field.
   *
   * It stays valid when the model is disposed, and may be given to any model. Its memory cannot be transferred to another
   * thread; copies can.
   *
   * @throws {FlowError} `ERR_ARGUMENT` if a side is not a positive integer; `ERR_OUT_OF_MEMORY`; `ERR_DISPOSED`
   */
  createField(width: number, height: number): FlowField {
    const site = callSite(FlowModel.prototype.createField)
    this.#calls.check({})
    const memory = this.#allocate(site, 4 * fieldLength(width, height))
    return new FlowField(width, height, memory && new Float32Array(memory))
  }

  /**
   * A frame to fill and to give to this model, or any other, again and again. On a GPU its memory is page-locked, as that of
   * {@link createField}, and the device reads it directly.
   *
   * @throws {FlowError} `ERR_FRAME` for a size or format that no frame has; `ERR_OUT_OF_MEMORY`; `ERR_DISPOSED`
   */
  createFrame(shape: FrameShape): FrameBuffer {
    const site = callSite(FlowModel.prototype.createFrame)
    this.#calls.check({})
    return makeFrame(shape, (bytes, what) => {
      const memory = this.#allocate(site, bytes)
      return memory ? new Uint8Array(memory) : allocateBytes(bytes, what)
    })
  }

  /**
   * A tensor of zeros, in the memory that the engine computes in, or in the host's. It stays valid when the model is disposed, but
   * can then no longer be copied. The shape has 1 to 8 sides.
   *
   * @throws {FlowError} `ERR_ARGUMENT` for a shape, a type or an option; `ERR_OUT_OF_MEMORY`; `ERR_DEVICE`; `ERR_DISPOSED`
   */
  createTensor<D extends TensorDType = 'float32'>(
    shape: readonly number[],
    dtype?: D,
    options?: TensorOptions<D>,
  ): Tensor<D>
  /**
   * A tensor over an array of the model's GPU without gaps, of any other code of this process. Its memory is as with
   * {@link TensorOptions.pointer}.
   *
   * @throws {FlowError} `ERR_ARGUMENT` for an array that is no such one; `ERR_DEVICE`; `ERR_DISPOSED`
   */
  createTensor(array: CudaArraySource): Tensor
  createTensor<D extends TensorDType = 'float32'>(
    shape: readonly number[] | CudaArraySource,
    dtype: D = 'float32' as D,
    options: TensorOptions<D> = {},
  ): Tensor {
    const site = callSite(FlowModel.prototype.createTensor)
    this.#calls.check(options)
    if (isCudaArray(shape)) return tensorOfArray(this.#calls, site, shape)
    return makeTensor(this.#calls, site, shape, dtype, options)
  }

  /**
   * The tensor that another native module put into a capsule by `include/dinov3_flow.h` of the package, over its memory, without a
   * copy: as the `data` of frames, as `into`, for copies. It may be in the host's memory or in that of the model's GPU. Its values are
   * there when it is given to a call, unless a `stream` is named: then the GPU waits for that.
   *
   * The tensor's deleter runs on this thread, once the tensor and its slices are disposed or forgotten, the calls that use it are
   * done, and arrays that were taken as `data` are collected. A capsule that is refused keeps its tensor.
   *
   * @param dtype the type that its values must have, if only one will do
   * @throws {FlowError} `ERR_ARGUMENT` if it is no capsule or was taken before; for a tensor of a type, on a device or with strides
   *   that are not read, or of another major version of DLPack than 1; and for memory of a GPU in which the model cannot compute;
   *   for a `stream` that is no handle, or of a tensor in the host's memory; `ERR_DEVICE`; `ERR_DISPOSED`
   */
  fromDLPack<D extends TensorDType>(
    capsule: DLPackCapsule,
    dtype?: D,
    options: DLPackOptions = {},
  ): Tensor<D> {
    const site = callSite(FlowModel.prototype.fromDLPack)
    this.#calls.check(options)
    return borrowTensor(this.#calls, site, capsule, dtype, options) as Tensor<D>
  }

  /**
   * A tensor of another process on the same GPU, over the same memory, by what its {@link Tensor.share} gave. An allocation is opened
   * once, and closed when its last tensor is disposed. That does not free it: the other process keeps it as long as it is used.
   *
   * @throws {FlowError} `ERR_ARGUMENT` for what is damaged, of another GPU or of this process, or gone; `ERR_DEVICE` if the device
   *   shares no memory; `ERR_DISPOSED`
   */
  openShared(shared: SharedTensor): Tensor {
    const site = callSite(FlowModel.prototype.openShared)
    this.#calls.check({})
    return openTensor(this.#calls, site, shared)
  }

  /**
   * Waits for the calls in flight, then frees all memory of the model, with its feature maps. Calls made later fail with
   * `ERR_DISPOSED`. May be called again. It ends a build of {@link prepare}.
   */
  dispose(): Promise<void> {
    if (!this.disposed) this.#preparer.cancel()
    return this.#calls.close(callSite(FlowModel.prototype.dispose))
  }

  /** As {@link dispose}, but blocks. A call whose frames are still being decoded fails with `ERR_DISPOSED`. */
  disposeSync(): void {
    if (!this.disposed) this.#preparer.cancel()
    this.#calls.closeSync(callSite(FlowModel.prototype.disposeSync))
  }

  [Symbol.dispose](): void {
    this.disposeSync()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** Memory that the device reads and writes directly; undefined if ordinary memory serves as well. */
  #allocate(site: CallSite, bytes: number): ArrayBuffer | undefined {
    return callNative(site, () => this.#calls.native.allocate(bytes))
  }
}
