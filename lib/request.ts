import { createFeatureMap, type FeatureMap, featureIdOf } from './feature-map.js'
import { FlowError } from './errors.js'
import { fieldLength, FlowField } from './flow-field.js'
import type { FrameSource } from './frame.js'
import type { Call, CallQueue, NamedFrame, Plan } from './calls/call-queue.js'
import type { RgbImage } from './image/rgb-image.js'
import type { FlowModelInfo } from './load.js'
import type { FeatureId, NativeFrame, NativeRefinement, NativeRequest } from './native/contract.js'
import { checkRefine, type Refine } from './refine.js'
import {
  type FlowOutput,
  type FlowSize,
  type OutputSize,
  type PatchGrid,
  resolveGrid,
  resolveOutput,
  sameSize,
} from './size.js'
import { allocateBytes, allocateFloats, targetOf } from './support/allocate.js'
import { described } from './support/arguments.js'
import { isFloat32Array } from './support/brands.js'
import { placeOf, Tensor } from './tensor.js'
import {
  type DeviceOutput,
  flowTensor,
  isDeviceOutput,
  mapTensor,
  type OnDevice,
  pictureTensor,
  type TensorResults,
  type ToTensors,
} from './tensor/results.js'
import { checkColorOptions, type FlowColorOptions } from './viz/flow-to-color.js'

/** How a frame enters the network. */
export interface SizeOption {
  /** The size that the frame is resized to. Default: the model's. */
  readonly size?: FlowSize | undefined
}

/** How a flow is refined. */
export interface RefineOption {
  /**
   * Whether and how the flow is refined by the pixels of the frames. Default: the model's, which is `'default'` for the package's
   * model and `'off'` for any other.
   */
  readonly refine?: Refine | undefined
}

/** How features are computed in a synchronous call. */
export interface FeaturesSyncOptions extends SizeOption {
  /**
   * Unless it is `'off'`, the map also keeps the frame's pixels, so that flows from it and to it can be refined. Default: the
   * model's.
   */
  readonly refine?: Refine | undefined
  /** The size at which pixels are kept, and flows refined: that of the flows. Default `'frame'`: the frame's. */
  readonly output?: FlowOutput | undefined
}

/** How features are computed. */
export interface FeaturesOptions extends FeaturesSyncOptions {
  /** Cancels the call as long as its work has not started. */
  readonly signal?: AbortSignal | undefined
}

/** How flow is returned by a synchronous call. */
export interface OutputOptions extends RefineOption {
  /** The size of the flow. Flow is in pixels of this size. Default `'frame'`: the first frame's. */
  readonly output?: FlowOutput | undefined
  /**
   * A field of the output's size. The flow is written to it, instead of to a new field, and it is returned. Only one call at a
   * time may use it. Do not transfer or resize its memory before the call is settled: such a call is rejected. `FlowModel.createField` makes the fastest one.
   */
  readonly into?: FlowField | undefined
}

/** How flow is computed in a synchronous call. */
export interface FlowSyncOptions extends SizeOption, OutputOptions {}

/** How flow is computed. */
export interface FlowOptions extends FlowSyncOptions {
  /** Cancels the call as long as its work has not started. */
  readonly signal?: AbortSignal | undefined
}

/** How flow is computed from features. */
export interface FlowFromFeaturesOptions extends OutputOptions {
  /** Cancels the call as long as its work has not started. */
  readonly signal?: AbortSignal | undefined
}

/** The results for the next frame of a stream. */
export interface FlowStep<Flow = FlowField> {
  /** From the frame before to this one. */
  readonly flow: Flow
  /** The features of this frame. Dispose them once the next frame is computed. */
  readonly features: FeatureMap
}

/** How a picture of flow is computed. */
export interface FlowPictureOptions extends Omit<FlowOptions, 'into'>, FlowColorOptions {}

/** How a picture of flow is computed from features. */
export interface FlowPictureFromFeaturesOptions
  extends Omit<FlowFromFeaturesOptions, 'into'>, FlowColorOptions {}

/** A map of one value per pixel, row by row. */
export interface PixelMap<Values extends Uint8Array | Float32Array> {
  readonly width: number
  readonly height: number
  /** `width * height` values. */
  readonly data: Values
}

/** The maps that are wanted besides the flow. */
export interface FlowMapOptions {
  /** The flow from a frame back to the frame before it: one more pass of the head. Default false. */
  readonly backward?: boolean | undefined
  /**
   * Pixels that are hidden in the next frame, or have left it, by the forward-backward check of Sundaram, Brox & Keutzer (ECCV
   * 2010). Costs as much as `backward`; all three maps together cost no more. Default false.
   */
  readonly occlusion?: boolean | undefined
  /**
   * How sure the motion of each pixel is. Of a refined flow it costs next to nothing, without a backward flow; with one, if
   * `backward` or `occlusion` is asked for too, it tells right from wrong better. Of any other flow it costs as much as
   * `backward`. Default false.
   */
  readonly confidence?: boolean | undefined
}

/** How flow and maps are computed. */
export interface FlowMapsOptions extends FlowOptions, FlowMapOptions {}

/** How flow and maps are computed from features. */
export interface FlowMapsFromFeaturesOptions extends FlowFromFeaturesOptions, FlowMapOptions {}

/** A flow and the maps that were asked for, all of one size. */
export interface FlowMaps {
  /** From the first frame to the second; in a stream from the frame before to this one. */
  readonly flow: FlowField
  /** From the second frame to the first. */
  readonly backward?: FlowField
  /** 1 where a pixel of the first frame is hidden in the second, else 0. */
  readonly occlusion?: PixelMap<Uint8Array>
  /**
   * 0 to 1 for each pixel of the first frame.
   *
   * Of a refined flow it is the probability that the motion is right to 1 px, judged by the pixels of the frames and calibrated
   * on scenes whose motion is known: there, about nine in ten of the pixels with 0.9 are right. With a backward flow it is
   * surer, unless the output is of another size than the pixels that feature maps keep.
   *
   * Of a flow that is not refined, or is less than 16 px wide or high, it is `limit / (limit + d²)`: the pixel goes along `flow`
   * and back along `backward`, and ends d pixels from its start. It counts as hidden if d² is above `limit`. So 1 is certain,
   * below 0.5 is hidden, and 0 has left the frame.
   */
  readonly confidence?: PixelMap<Float32Array>
}

/** Allocates the maps that were asked for, and the flow if it is not given. Throws a FlowError for a flow of another size. */
export function makeMaps(
  wanted: FlowMapOptions,
  { width, height }: OutputSize,
  makeField: (width: number, height: number) => FlowField,
  flow?: FlowField,
): FlowMaps {
  return {
    flow: flow === undefined ? makeField(width, height) : checkInto(flow, width, height),
    ...(wanted.backward && { backward: makeField(width, height) }),
    ...(wanted.occlusion && {
      occlusion: { width, height, data: allocateBytes(width * height, 'an occlusion mask') },
    }),
    ...(wanted.confidence && {
      confidence: { width, height, data: allocateFloats(width * height, 'a map of confidence') },
    }),
  }
}

/** As {@link FlowMaps}, but in tensors of height x width; those of flow are 2 x height x width. */
export interface TensorMaps {
  readonly flow: Tensor<'float32'>
  readonly backward?: Tensor<'float32'>
  readonly occlusion?: Tensor<'uint8'>
  readonly confidence?: Tensor<'float32'>
}

/** Makes tensors for the maps that were asked for, and for the flow if it is not given. */
export function makeTensorMaps(
  calls: CallQueue,
  wanted: FlowMapOptions,
  size: OutputSize,
  flow?: Tensor<'float32'>,
): TensorMaps {
  return {
    flow: flowTensor(calls, size, flow),
    ...(wanted.backward && { backward: flowTensor(calls, size) }),
    ...(wanted.occlusion && { occlusion: mapTensor(calls, size, 'uint8') }),
    ...(wanted.confidence && { confidence: mapTensor(calls, size, 'float32') }),
  }
}

/** Maps, and how a request fills them. */
export interface Filled<Maps> {
  readonly maps: Maps
  /** The part of the request. */
  readonly request: Partial<NativeRequest>
  /** Call it once the request is answered. Throws a FlowError if the caller's memory went away meanwhile. */
  deliver(): void
}

/** @throws {FlowError} `ERR_ARGUMENT` if the field of the caller has no memory */
export function fillFields(maps: FlowMaps): Filled<FlowMaps> {
  const { width, height } = maps.flow
  const target = targetOf(maps.flow.data)
  const request = {
    width,
    height,
    flow: target.data,
    backward: maps.backward?.data,
    occlusion: maps.occlusion?.data,
    confidence: maps.confidence?.data,
  }
  return { maps, request, deliver: () => target.deliver() }
}

/** @throws {FlowError} `ERR_DISPOSED` */
export function fillTensors(maps: TensorMaps): Filled<TensorMaps> {
  const [, height, width] = maps.flow.shape
  const places = Object.fromEntries(Object.entries(maps).map(([name, map]) => [name, placeOf(map as Tensor)]))
  return { maps, request: { width, height, ...places }, deliver: () => {} }
}

/** The size and the refinement of a call that names none. */
export interface Defaults {
  readonly size: FlowSize
  readonly refine: Refine
}

/** Two inputs on one grid. */
interface Pair {
  readonly inputs: Pick<NativeRequest, 'from' | 'to' | 'gridHeight' | 'gridWidth' | 'refine'>
  /** The size of the first frame. */
  readonly frame: OutputSize
  readonly grid: PatchGrid
}

/** Turns the public calls of one model into requests. Starts nothing. */
export class RequestPlanner {
  readonly #calls: CallQueue
  readonly #info: FlowModelInfo
  readonly #defaults: Defaults

  constructor(calls: CallQueue, info: FlowModelInfo, defaults: Defaults) {
    this.#calls = calls
    this.#info = info
    this.#defaults = defaults
  }

  flow(
    a: FrameSource,
    b: FrameSource,
    options: FlowOptions | ToTensors<FlowOptions>,
  ): Call<FlowField | Tensor<'float32'>> {
    return {
      options,
      frames: pairOf(a, b),
      plan: (frames) => this.#toField(this.#ofFrames(frames, options), options),
    }
  }

  flowFromFeatures(
    a: FeatureMap,
    b: FeatureMap,
    options: FlowFromFeaturesOptions | ToTensors<FlowFromFeaturesOptions>,
  ): Call<FlowField | Tensor<'float32'>> {
    return { options, frames: [], plan: () => this.#toField(this.#ofMaps(a, b, options), options) }
  }

  picture(
    a: FrameSource,
    b: FrameSource,
    options: FlowPictureOptions | OnDevice<FlowPictureOptions>,
  ): Call<RgbImage | Tensor<'uint8'>> {
    return {
      options,
      frames: pairOf(a, b),
      plan: (frames) => this.#toPicture(this.#ofFrames(frames, options), options),
    }
  }

  pictureFromFeatures(
    a: FeatureMap,
    b: FeatureMap,
    options: FlowPictureFromFeaturesOptions | OnDevice<FlowPictureFromFeaturesOptions>,
  ): Call<RgbImage | Tensor<'uint8'>> {
    return { options, frames: [], plan: () => this.#toPicture(this.#ofMaps(a, b, options), options) }
  }

  maps(
    a: FrameSource,
    b: FrameSource,
    options: FlowMapsOptions | ToTensors<FlowMapsOptions>,
  ): Call<FlowMaps | TensorMaps> {
    return {
      options,
      frames: pairOf(a, b),
      plan: (frames) => this.#toMaps(this.#ofFrames(frames, options), options),
    }
  }

  mapsFromFeatures(
    a: FeatureMap,
    b: FeatureMap,
    options: FlowMapsFromFeaturesOptions | ToTensors<FlowMapsFromFeaturesOptions>,
  ): Call<FlowMaps | TensorMaps> {
    return { options, frames: [], plan: () => this.#toMaps(this.#ofMaps(a, b, options), options) }
  }

  features(frame: FrameSource, options: FeaturesOptions): Call<FeatureMap> {
    return {
      options,
      frames: [{ source: frame, name: 'frame' }],
      plan: ([from]) => {
        const grid = this.grid(options.size, from!)
        const keepFrom = this.#calls.nextFeatureId()
        const refine = this.refinement(options)
        const pixels = refine === undefined ? null : this.outputSize(from!, grid, options.output)
        return {
          request: { from: from!, ...grid, keepFrom, refine, ...pixels },
          answer: () => this.map(keepFrom, grid, from!, pixels),
        }
      },
    }
  }

  /** The flow from the frame of `before` to `frame`, and the features of `frame` on the grid of `before`. */
  advance(
    before: FeatureMap,
    frame: FrameSource,
    options: FlowFromFeaturesOptions | ToTensors<FlowFromFeaturesOptions>,
  ): Call<FlowStep<FlowField | Tensor<'float32'>>> {
    return {
      options,
      frames: [{ source: frame, name: 'frame' }],
      plan: ([to]) => {
        const from = featureIdOf(before, this.#calls, 'feature map')
        const keepTo = this.#calls.nextFeatureId()
        const refine = this.refinement(options)
        const pixels = refine === undefined ? null : pixelsOf(before, 'feature map')
        const { request, answer } = this.#toField(
          { inputs: { from, to: to!, ...gridOf(before), refine }, frame: frameOf(before), grid: before },
          options,
        )
        return {
          request: { ...request, keepTo },
          // The map comes first: it frees the features if the flow turns out to be lost.
          answer: (result) => ({ features: this.map(keepTo, before, to!, pixels), flow: answer(result) }),
        }
      },
    }
  }

  /** The grid for a frame of that size. */
  grid(size: FlowSize | undefined, frame: OutputSize): PatchGrid {
    const { gridHeight, gridWidth } = resolveGrid(
      size ?? this.#defaults.size,
      frame,
      this.#info.backbone.patch,
    )
    return { gridHeight, gridWidth }
  }

  /** Undefined if flow is not refined. */
  refinement({ refine }: RefineOption): NativeRefinement | undefined {
    return checkRefine(refine === undefined ? this.#defaults.refine : refine)
  }

  #ofFrames(frames: readonly NativeFrame[], options: SizeOption & RefineOption): Pair {
    const [from, to] = frames as readonly [NativeFrame, NativeFrame]
    const grid = this.grid(options.size, from)
    return { inputs: { from, to, ...grid, refine: this.refinement(options) }, frame: from, grid }
  }

  #ofMaps(a: FeatureMap, b: FeatureMap, options: RefineOption): Pair {
    const from = featureIdOf(a, this.#calls, 'first feature map')
    const to = featureIdOf(b, this.#calls, 'second feature map')
    if (a.gridHeight !== b.gridHeight || a.gridWidth !== b.gridWidth)
      throw new FlowError(
        'ERR_ARGUMENT',
        `the feature maps are of ${a.gridWidth} x ${a.gridHeight} and ${b.gridWidth} x ${b.gridHeight} patches: ` +
          'compute both at the same size',
      )
    const refine = this.refinement(options)
    if (refine !== undefined) {
      const [first, second] = [pixelsOf(a, 'first feature map'), pixelsOf(b, 'second feature map')]
      if (!sameSize(first, second))
        throw new FlowError(
          'ERR_ARGUMENT',
          `the feature maps keep pixels of ${first.width} x ${first.height} and ${second.width} x ${second.height}: ` +
            'compute both with the same output, or do not refine their flow',
        )
    }
    return { inputs: { from, to, refine }, frame: frameOf(a), grid: a }
  }

  #toField(
    pair: Pair,
    options: OutputOptions | ToTensors<OutputOptions>,
  ): Plan<FlowField | Tensor<'float32'>> {
    const { inputs } = pair
    const { height, width } = this.#sizeOf(pair, options)
    if (wantsTensors(options)) {
      const flow = flowTensor(this.#calls, { height, width }, options.into)
      return { request: { ...inputs, height, width, flow: placeOf(flow) }, answer: () => flow }
    }
    const { into } = options
    const field = into === undefined ? new FlowField(width, height) : checkInto(into, width, height)
    const target = targetOf(field.data)
    const answer = () => {
      target.deliver()
      return field
    }
    return { request: { ...inputs, height, width, flow: target.data }, answer }
  }

  #toMaps(
    pair: Pair,
    options: FlowMapsFromFeaturesOptions | ToTensors<FlowMapsFromFeaturesOptions>,
  ): Plan<FlowMaps | TensorMaps> {
    const size = this.#sizeOf(pair, options)
    const { maps, request, deliver } = wantsTensors(options)
      ? fillTensors(makeTensorMaps(this.#calls, options, size, options.into))
      : fillFields(makeMaps(options, size, (width, height) => new FlowField(width, height), options.into))
    const answer = () => {
      deliver()
      return maps
    }
    return { request: { ...pair.inputs, ...request }, answer }
  }

  #toPicture(
    pair: Pair,
    options: FlowPictureFromFeaturesOptions | OnDevice<FlowPictureFromFeaturesOptions>,
  ): Plan<RgbImage | Tensor<'uint8'>> {
    const { scale = 0, clipMax = Infinity, clipMin = 0 } = checkColorOptions(options)
    const { height, width } = this.#sizeOf(pair, options)
    const request = { ...pair.inputs, height, width, colors: { scale, clipMax, clipMin } }
    if (wantsTensors(options)) {
      const picture = pictureTensor(this.#calls, { height, width })
      return { request: { ...request, picture: placeOf(picture) }, answer: () => picture }
    }
    const data = allocateBytes(3 * width * height, `a ${width} x ${height} picture`)
    return { request: { ...request, picture: data }, answer: () => ({ data, width, height }) }
  }

  /** The size of the results of a call. */
  #sizeOf(
    { frame, grid }: Pair,
    { output }: { readonly output?: FlowOutput | DeviceOutput | undefined },
  ): OutputSize {
    return this.outputSize(frame, grid, isDeviceOutput(output) ? output.size : output)
  }

  /** Whether all memory that the engine computes in is the host's. */
  get onHost(): boolean {
    return this.#info.gpu === null
  }

  /** The size of the maps for a frame of that size. */
  outputSize(frame: OutputSize, grid: PatchGrid, output: FlowOutput = 'frame'): OutputSize {
    const { up } = this.#info.head
    const model = { height: grid.gridHeight * up, width: grid.gridWidth * up }
    return resolveOutput(output, frame, model)
  }

  /**
   * The map of features that a request has kept.
   *
   * @param pixels the size at which it keeps the frame's pixels as well
   * @param release lets go of the features, instead of freeing them
   */
  map(
    id: FeatureId,
    { gridHeight, gridWidth }: PatchGrid,
    frame: OutputSize,
    pixels: OutputSize | null,
    release?: () => void,
  ): FeatureMap {
    const { dim } = this.#info.backbone
    const { height: frameHeight, width: frameWidth } = frame
    const shape = { gridHeight, gridWidth, dim, frameHeight, frameWidth, pixels }
    return createFeatureMap(this.#calls, id, shape, release)
  }
}

function wantsTensors<Options extends { readonly output?: unknown; readonly into?: unknown }>(
  options: Options,
): options is Extract<Options, TensorResults> {
  return options.into instanceof Tensor || isDeviceOutput(options.output)
}

function pairOf(a: FrameSource, b: FrameSource): NamedFrame[] {
  return [
    { source: a, name: 'first frame' },
    { source: b, name: 'second frame' },
  ]
}

function gridOf({ gridHeight, gridWidth }: PatchGrid): PatchGrid {
  return { gridHeight, gridWidth }
}

function frameOf(map: FeatureMap): OutputSize {
  return { height: map.frameHeight, width: map.frameWidth }
}

/** The size of the pixels that a map keeps. */
function pixelsOf({ pixels }: FeatureMap, name: string): OutputSize {
  if (pixels !== null) return pixels
  throw new FlowError(
    'ERR_ARGUMENT',
    `${name}: keeps no pixels to refine its flow by: compute it with refine, or ask for flow with refine: 'off'`,
  )
}

function checkInto(into: FlowField, width: number, height: number): FlowField {
  // A FlowField of another realm, or of another copy of this package, serves as well.
  if (typeof into !== 'object' || into === null || into instanceof Tensor || !isFloat32Array(into.data))
    throw new FlowError(
      'ERR_ARGUMENT',
      `into: must be a FlowField, as model.createField makes it, not ${described(into)}`,
    )
  if (into.width !== width || into.height !== height)
    throw new FlowError(
      'ERR_ARGUMENT',
      `into: is ${into.width} x ${into.height}, but the flow is ${width} x ${height}: give a field of that size`,
    )
  if (into.data.length !== 0 && into.data.length !== fieldLength(width, height))
    throw new FlowError(
      'ERR_ARGUMENT',
      `into: has ${into.data.length} values, and a ${width} x ${height} flow ${fieldLength(width, height)}: give a FlowField`,
    )
  return into
}
