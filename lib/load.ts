import { cpus } from 'node:os'
import { checkSignal, runLong, throwIfAborted } from './calls/abort.js'
import type { CheckpointChoice } from './checkpoint/candidates.js'
import { DEFAULT_MODEL } from './checkpoint/default-model.js'
import type { ReadyBackbone } from './checkpoint/backbone.js'
import type { FoundNormalization, Normalization } from './checkpoint/normalization.js'
import { withModel } from './checkpoint/open-model.js'
import type { ReadyModel } from './checkpoint/plan.js'
import { type CheckpointSource, pathOf } from './checkpoint/reference.js'
import type { BackboneConfig, HeadConfig } from './checkpoint/tensor.js'
import { checkDevice, type Device, type Precision, type Wait, WAITS } from './device.js'
import { FlowError } from './errors.js'
import { loadAddon } from './native/addon.js'
import { BACKBONE_ENGINES, type BackboneEngine } from './prepare.js'
import type { Defaults } from './request.js'
import type { NativeGpu, NativeModel } from './native/contract.js'
import { awaitNative, callNative, type CallSite } from './native/failure.js'
import { checkRefine, type Refine } from './refine.js'
import type { FlowSize } from './size.js'
import { inJson, shown } from './support/quote.js'
import type { PreparerSource } from './tensorrt/preparer.js'

/** Progress of loading, in bytes of weights. */
export interface LoadProgress {
  readonly loaded: number
  readonly total: number
}

/** Options of `FlowModel.load`. */
export interface LoadOptions {
  /**
   * DINOv3 ViT checkpoint with the names of Meta, transformers or timm: a .pth or .safetensors file, a folder with one, or the
   * index of one in shards. `{ path, prefix }` chooses a model in a file of several. If both `backbone` and `head` are left out,
   * the package's small model is loaded.
   */
  readonly backbone?: CheckpointSource | undefined
  /** The flow head's checkpoint, as `backbone`. It may be the same file as the backbone's. */
  readonly head?: CheckpointSource | undefined
  /** Hugging Face's config.json. Default: the one beside a backbone with Hugging Face's names. */
  readonly backboneConfig?: string | URL | undefined
  /**
   * Type of the backbone's RoPE periods. Default `'float32'`: as the file has them, and computed in float32 where it has none, as
   * timm and transformers do. `'bfloat16'` rounds them, as Meta's files have them: for a head that was trained on Meta's
   * backbone, with the same weights from timm or Hugging Face.
   */
  readonly ropePeriods?: RopePeriods | undefined
  /**
   * The mean and standard deviation of pixels that the backbone was trained with. Default: those of Hugging Face's
   * preprocessor_config.json or of timm's config.json beside the backbone, else ImageNet's, as in
   * `{ mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }`. DINOv3's models of satellite pictures need
   * `{ mean: [0.430, 0.411, 0.296], std: [0.213, 0.156, 0.143] }`.
   */
  readonly normalization?: Normalization | undefined
  /**
   * Where to compute. Default `'auto'`: the first GPU if it can be used, else the CPU. `info.engine` is the choice, and
   * `info.gpuUnused` the reason for the CPU.
   */
  readonly device?: Device | undefined
  /**
   * Number type to compute in. Default `'auto'`: fp16 on a GPU, or bf16 from the first frame on whose values fp16 is too narrow
   * for; fp32 on a CPU, which supports no other.
   */
  readonly precision?: 'auto' | Precision | undefined
  /**
   * How the model's thread waits for a GPU: `'spin'` keeps a core busy and has the lowest latency, `'block'` sleeps. A synchronous
   * call waits in the same way. Default `'auto'`: `'block'` for a GPU that shares the host's memory, as on Jetson, whose cores are few;
   * else `'spin'`. `info.gpu.wait` is the choice. It does nothing on a CPU.
   */
  readonly wait?: 'auto' | Wait | undefined
  /**
   * What computes the backbone for the sizes that {@link FlowModel.prepare} prepares: our kernels, TensorRT if it is right on this
   * machine, or the faster of both. Default `'kernels'`. Sizes that were not prepared are computed by the kernels.
   */
  readonly backboneEngine?: BackboneEngine | undefined
  /** Threads of the CPU engine, 1 to 256. Default: one per physical core that the process may use. */
  readonly threads?: number | undefined
  /**
   * Speed against error of the package's model: what `size` and `refine` are if they are not given. Default `'balanced'`.
   *
   * | preset | size | refine |
   * | --- | --- | --- |
   * | `'fast'` | `'half'` | `'fast'` |
   * | `'balanced'` | `'half'` | `'default'` |
   * | `'best'` | `'fit'` | `'best'` |
   */
  readonly preset?: ModelPreset | undefined
  /**
   * Size that frames are resized to, unless a call gives another one. Default: the preset's for the package's model, else
   * `'seed'`, the size that the original's heads were trained at.
   */
  readonly size?: FlowSize | undefined
  /**
   * Whether and how flows are refined by the pixels of their frames, unless a call says otherwise. Default: the preset's for the
   * package's model, else `'off'`, which is exactly the original's flow.
   */
  readonly refine?: Refine | undefined
  /** Stops loading. */
  readonly signal?: AbortSignal | undefined
  /** Called from time to time during loading. If it throws, loading stops and `load` rejects with that error. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
}

/** Type of the periods of rotary position embeddings. */
export type RopePeriods = 'float32' | 'bfloat16'

/** Speed against error of the package's model. */
export type ModelPreset = 'fast' | 'balanced' | 'best'

const PRESETS = {
  fast: { size: 'half', refine: 'fast' },
  balanced: { size: 'half', refine: 'default' },
  best: { size: 'fit', refine: 'best' },
} as const satisfies Record<ModelPreset, Pick<LoadOptions, 'size' | 'refine'>>

/**
 * The size and the refinement of calls that name none.
 *
 * @throws {FlowError} `ERR_ARGUMENT` for a preset that there is not, or beside a model from files
 */
export function defaultsOf({ backbone, preset, size, refine }: LoadOptions): Defaults {
  const own = backbone === undefined || pathOf(backbone) === DEFAULT_MODEL
  if (preset !== undefined && !Object.hasOwn(PRESETS, preset))
    throw new FlowError(
      'ERR_ARGUMENT',
      `preset: must be one of ${Object.keys(PRESETS).join(', ')}, not ${inJson(preset)}`,
    )
  if (preset !== undefined && !own)
    throw new FlowError('ERR_ARGUMENT', "preset: is for the package's model; give size and refine instead")
  const given = own ? PRESETS[preset ?? 'balanced'] : ({ size: 'seed', refine: 'off' } as const)
  return { size: size ?? given.size, refine: refine === undefined ? given.refine : refine }
}

/** A GPU as its driver describes it. */
export interface GpuInfo {
  /** The N of `cuda:N`. */
  readonly index: number
  /** Such as `9.0`. */
  readonly computeCapability: string
  readonly multiprocessors: number
  /** Bytes. */
  readonly memory: number
  /** Whether it shares the host's memory, as on Jetson. */
  readonly integrated: boolean
  /**
   * Whether it reads frames and writes results where `createFrame` and `createField` put them, instead of copying them. True
   * only if it is integrated, and a measurement at loading found that it is not much slower so.
   */
  readonly inPlace: boolean
  /** How the model waits for it. */
  readonly wait: Wait
  /**
   * The kernels in use: `sm_86` are compiled for compute capability 8.6 and run on 8.9 as well; `compute_80` is PTX, which the
   * driver compiles at the first use.
   */
  readonly kernels: string
  /** The newest version of CUDA that the driver supports, such as `13.0`. */
  readonly driver: string
}

/** What a model does about values beyond the range of its precision. */
export interface FlowModelNumerics {
  /** That of `info`, or `'bf16'` once fp16 was too narrow for a frame and `precision` was `'auto'`. */
  readonly precision: Precision
  /**
   * Values inside the backbone that are multiplied by 2^`exponent` where they are stored, and divided by it in the next product:
   * exact. Keys are scaled inversely to their queries. `hidden` is the hidden layer of a block's feed-forward network.
   */
  readonly scaled: readonly {
    /** From 0. */
    readonly block: number
    readonly values: 'queries' | 'values' | 'hidden'
    readonly exponent: number
  }[]
}

/** A loaded model's architecture, and the engine that it runs on. Both are fixed at loading. Plain data, fit for JSON. */
export interface FlowModelInfo {
  readonly engine: 'cpu' | 'cuda'
  /** Name of the processor or of the GPU. */
  readonly device: string
  /** Vector instructions in use: `avx512`, `avx2`, `sse2`, `neon`; null on a GPU. */
  readonly instructionSet: string | null
  /** Threads of the CPU engine; null on a GPU. */
  readonly threads: number | null
  /** At loading. {@link FlowModel.numerics} has the one in use. */
  readonly precision: Precision
  /** What was asked for. {@link FlowModel.prepared} lists what is used, size by size. */
  readonly backboneEngine: BackboneEngine
  /** The GPU in use; null on a CPU. */
  readonly gpu: GpuInfo | null
  /** Reason why `device: 'auto'` fell back to the CPU; null if a GPU is used or a device was named. */
  readonly gpuUnused: string | null
  readonly backbone: BackboneConfig
  readonly head: HeadConfig
  readonly files: { readonly backbone: string; readonly head: string }
  /** Which models of the files were taken, and which others there are. */
  readonly choice: { readonly backbone: CheckpointChoice; readonly head: CheckpointChoice }
  /** The RoPE periods: those of the file, or computed, in float32 or rounded to bfloat16. */
  readonly ropePeriods: 'file' | RopePeriods
  /** The scale of pixels that the backbone expects, and where that is known from. */
  readonly normalization: FoundNormalization
  /** Names of tensors in the files that the model does not use. */
  readonly unused: { readonly backbone: readonly string[]; readonly head: readonly string[] }
  /**
   * Memory that the model holds from the start. It does not include the engine's working memory, which grows with the largest
   * size computed so far, nor the feature maps, which take `4 * gridHeight * gridWidth * dim` bytes each until disposed,
   * and 9.4 bytes for each pixel that they keep.
   */
  readonly memory: {
    /** Bytes of weights. */
    readonly weights: number
  }
}

/** A network whose weights are loaded. */
export interface LoadedModel {
  readonly native: NativeModel
  readonly info: FlowModelInfo
  readonly source: PreparerSource
}

const ROPE_PERIODS = ['float32', 'bfloat16']
const PRECISIONS = ['auto', 'fp32', 'fp16', 'bf16']
const MAX_THREADS = 256

/**
 * Reads both checkpoints and makes the network.
 *
 * @throws {FlowError} as `FlowModel.load`
 */
export async function loadModel(options: LoadOptions, site: CallSite): Promise<LoadedModel> {
  checkOptions(options)
  throwIfAborted(options.signal)
  const { NativeModel } = loadAddon()

  return withModel(options, async ({ backbone, head }) => {
    const native = callNative(
      site,
      () =>
        new NativeModel({
          backbone: backbone.config,
          head: head.config,
          backboneWeights: backbone.weights,
          headWeights: head.weights,
          ropePeriods: options.ropePeriods ?? 'float32',
          normalization: backbone.normalization,
          device: options.device ?? 'auto',
          precision: options.precision ?? 'auto',
          wait: options.wait ?? 'auto',
          threads: options.threads ?? 0,
        }),
    )
    await fill(native, options, site)
    return { native, info: describe(native, backbone, head, options), source: sourceOf(options) }
  })
}

/** What the caller may change after the call is copied. */
function sourceOf(options: LoadOptions): PreparerSource {
  const { backbone, head, backboneConfig, ropePeriods, normalization } = options
  return { backbone, head, backboneConfig, ropePeriods, normalization }
}

/** Reads the weights. If that fails, the model is freed at once. */
async function fill(native: NativeModel, { signal, onProgress }: LoadOptions, site: CallSite): Promise<void> {
  try {
    await runLong<void, LoadProgress>({
      signal,
      onProgress,
      cancel: () => native.cancelLoad(),
      start: (tell) => awaitNative(site, () => native.load((loaded, total) => tell({ loaded, total }))),
    })
  } catch (error) {
    native.disposeSync()
    throw error
  }
}

function describe(
  native: NativeModel,
  backbone: ReadyBackbone,
  head: ReadyModel<HeadConfig>,
  { ropePeriods = 'float32', backboneEngine = 'kernels' }: LoadOptions,
): FlowModelInfo {
  const { gpu, instructionSet, threads, gpuUnused, precision, weightBytes } = native.describe()
  return {
    engine: gpu === undefined ? 'cpu' : 'cuda',
    device: gpu?.name ?? cpus()[0]?.model.trim() ?? process.arch,
    instructionSet: instructionSet ?? null,
    threads: threads ?? null,
    precision,
    backboneEngine,
    gpu: gpu === undefined ? null : describeGpu(gpu),
    gpuUnused: gpuUnused || null,
    backbone: backbone.config,
    head: head.config,
    files: { backbone: backbone.path, head: head.path },
    choice: { backbone: backbone.choice, head: head.choice },
    ropePeriods: ropePeriods === 'float32' && hasPeriods(backbone) ? 'file' : ropePeriods,
    normalization: backbone.normalization,
    unused: { backbone: backbone.unused, head: head.unused },
    memory: { weights: weightBytes },
  }
}

function hasPeriods({ weights }: ReadyModel<BackboneConfig>): boolean {
  return weights.some(({ name }) => name === 'rope_embed.periods')
}

/** The public description of a GPU. */
export function describeGpu(gpu: NativeGpu): GpuInfo {
  const {
    index,
    computeCapability,
    multiprocessors,
    memory,
    integrated,
    inPlace,
    wait,
    kernels,
    driverVersion,
  } = gpu
  const driver = `${Math.floor(driverVersion / 1000)}.${Math.floor((driverVersion % 1000) / 10)}`
  return { index, computeCapability, multiprocessors, memory, integrated, inPlace, wait, kernels, driver }
}

function checkOptions(options: LoadOptions): void {
  if (typeof options !== 'object' || options === null)
    throw new FlowError('ERR_ARGUMENT', 'FlowModel.load takes { backbone, head, ... }')
  if ((options.backbone === undefined) !== (options.head === undefined)) {
    const [given, missing] = options.head === undefined ? ['backbone', 'head'] : ['head', 'backbone']
    throw new FlowError(
      'ERR_ARGUMENT',
      `${missing}: is missing beside ${given}; give both, or neither for the package's model`,
    )
  }
  const { device = 'auto', precision = 'auto', ropePeriods = 'float32', threads } = options
  const { backboneEngine = 'kernels', wait = 'auto' } = options
  checkDevice(device)
  if (options.refine !== undefined) checkRefine(options.refine)
  if (!PRECISIONS.includes(precision))
    throw new FlowError(
      'ERR_ARGUMENT',
      `precision: must be one of ${PRECISIONS.join(', ')}, not ${inJson(precision)}`,
    )
  if (!WAITS.includes(wait))
    throw new FlowError('ERR_ARGUMENT', `wait: must be one of ${WAITS.join(', ')}, not ${shown(wait)}`)
  if (!BACKBONE_ENGINES.includes(backboneEngine))
    throw new FlowError(
      'ERR_ARGUMENT',
      `backboneEngine: must be one of ${BACKBONE_ENGINES.join(', ')}, not ${shown(backboneEngine)}`,
    )
  if (!ROPE_PERIODS.includes(ropePeriods))
    throw new FlowError(
      'ERR_ARGUMENT',
      `ropePeriods: must be one of ${ROPE_PERIODS.join(', ')}, not ${shown(ropePeriods)}`,
    )
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= MAX_THREADS))
    throw new FlowError(
      'ERR_ARGUMENT',
      `threads: must be an integer from 1 to ${MAX_THREADS}, not ${shown(threads)}`,
    )
  checkProgress(options.onProgress)
  checkSignal(options.signal)
}

/** @throws {FlowError} `ERR_ARGUMENT` if `onProgress` is neither a function nor undefined */
export function checkProgress(onProgress: unknown): void {
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw new FlowError('ERR_ARGUMENT', 'onProgress: must be a function')
}
