import type { CallQueue } from '../calls/call-queue.js'
import { orAborted, runLong, throwIfAborted } from '../calls/abort.js'
import type { ModelSource } from '../checkpoint/open-model.js'
import { FlowError } from '../errors.js'
import type { FlowModelInfo, RopePeriods } from '../load.js'
import type { NativePlan, NativeTrial } from '../native/contract.js'
import { awaitNative, type CallSite } from '../native/failure.js'
import type { Prepared, PrepareOptions, PrepareProgress } from '../prepare.js'
import type { PatchGrid } from '../size.js'
import { type PlanCache, planKey, type PlanTarget } from './plan-cache.js'
import type { Trial } from './trial.js'

/** The checkpoints of a model, and how it reads them. */
export interface PreparerSource extends ModelSource {
  readonly ropePeriods?: RopePeriods | undefined
}

/** What came of a grid, without the grid. */
type Outcome = Omit<Prepared, 'grid'>

type BuildOptions = Pick<PrepareOptions, 'signal' | 'onProgress'>

/** The code of the warning that TensorRT was asked for and is not used, for `process.on('warning')`. */
export const TENSORRT_WARNING = 'DINOV3_FLOW_TENSORRT'

/** Features of a lower cosine are not the network's; `trusted_cosine` of native/model/backbone_trial.h. */
const TRUSTED_COSINE = 0.9995

/** What came of plans that are not trusted, by their keys. Building one again would give the same. */
const untrusted = new Map<string, Outcome>()

/** Prepares the grids of one model, one after the other. */
export class Preparer {
  readonly #calls: CallQueue
  readonly #info: FlowModelInfo
  readonly #source: PreparerSource
  readonly #cache: PlanCache
  readonly #prepared = new Map<string, Prepared>()
  #last: Promise<void> = Promise.resolve()

  constructor(calls: CallQueue, info: FlowModelInfo, source: PreparerSource, cache: PlanCache) {
    this.#calls = calls
    this.#info = info
    this.#source = source
    this.#cache = cache
  }

  get prepared(): readonly Prepared[] {
    return [...this.#prepared.values()]
  }

  /** A grid is prepared once. Later calls are told what came of it. */
  async prepare(site: CallSite, grid: PatchGrid, options: BuildOptions): Promise<Prepared> {
    const name = `${grid.gridHeight}x${grid.gridWidth}`
    return this.#inTurn(options.signal, async () => {
      this.#calls.check(options)
      const known = this.#prepared.get(name)
      if (known !== undefined) return known
      const prepared = { grid, ...(await this.#choose(site, grid, options)) }
      this.#prepared.set(name, prepared)
      this.#warn(prepared)
      return prepared
    })
  }

  /** Ends a build that runs. */
  cancel(): void {
    if (this.#info.backboneEngine !== 'kernels') this.#calls.native.cancelBuild()
  }

  async #inTurn<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const before = this.#last
    let end: (() => void) | undefined
    this.#last = new Promise((resolve) => (end = resolve))
    try {
      await orAborted(signal, before)
      return await work()
    } finally {
      void before.then(end)
    }
  }

  #warn({ grid, backboneEngine, reason }: Prepared): void {
    if (this.#info.backboneEngine !== 'tensorrt' || backboneEngine === 'tensorrt') return
    const { patch } = this.#info.backbone
    const size = `${patch * grid.gridWidth} x ${patch * grid.gridHeight}`
    process.emitWarning(`TensorRT is not used for the size ${size}: ${reason ?? ''}`, {
      code: TENSORRT_WARNING,
    })
  }

  async #choose(site: CallSite, grid: PatchGrid, options: BuildOptions): Promise<Outcome> {
    const { backboneEngine, device, gpu, precision } = this.#info
    if (backboneEngine === 'kernels') return byKernels(null)
    try {
      const { version = '', reason } = await awaitNative(site, () => this.#calls.native.tensorRT())
      if (reason !== undefined) return byKernels(reason)
      if (gpu === null) throw new Error('TensorRT without a GPU') // there would be a reason
      const target = { version, gpu: device, computeCapability: gpu.computeCapability, driver: gpu.driver }
      // Protobuf takes long to load, and most models never need it.
      const { patchModel } = await import('./patch-model.js')
      const onnx = await patchModel(this.#source, {
        grid: { height: grid.gridHeight, width: grid.gridWidth },
        precision: precision === 'fp16' ? 'float16' : 'float32',
        ropePeriods: this.#source.ropePeriods,
      })
      return await this.#tryPlan(site, grid, { target, onnx, key: await planKey(target, onnx) }, options)
    } catch (error) {
      if (this.#calls.closed) throw new FlowError('ERR_DISPOSED', 'the model was disposed')
      // An error of `onProgress` is not ours to hide.
      if (!(error instanceof FlowError) || error.code === 'ERR_ABORTED') throw error
      return byKernels(error.message)
    }
  }

  /** Tries the plan of the cache, or else one that is built. */
  async #tryPlan(site: CallSite, grid: PatchGrid, network: Network, options: BuildOptions): Promise<Outcome> {
    const { key, target } = network
    const auto = this.#info.backboneEngine === 'auto'
    const refused = untrusted.get(key)
    if (refused !== undefined) return refused
    const measured = await this.#cache.trial(key)
    if (auto && measured !== undefined && !isFaster(measured))
      return byKernels(slower(target, measured), describe(target, measured, false))

    const use = (plan: Uint8Array, onlyIfFaster: boolean) =>
      awaitNative(site, () => {
        const { gridHeight, gridWidth } = grid
        return this.#calls.native.usePlan(gridHeight, gridWidth, plan, onlyIfFaster)
      })
    const found = await this.#cache.plan(key)
    let trial = found && (await use(found, auto && measured === undefined).catch(ifUnusable))
    const built = trial === undefined
    if (trial === undefined) {
      await this.#cache.remove(key) // what was found cannot be loaded
      const made = await this.#build(site, network, options)
      await this.#cache.keep(key, target, made)
      trial = await use(made.plan, auto)
    }
    return this.#judge(network, trial, built)
  }

  async #judge({ key, target }: Network, native: NativeTrial, built: boolean): Promise<Outcome> {
    const { milliseconds, used, reason } = native
    const cosines = native.cosines.map((cosine) => (Number.isFinite(cosine) ? cosine : null))
    const trial = { cosines, milliseconds }
    const described = describe(target, trial, built)
    if (used) {
      await this.#cache.keepTrial(key, trial)
      return { backboneEngine: 'tensorrt', reason: null, tensorrt: described }
    }
    const outcome = byKernels(reason ?? slower(target, trial), described)
    if (cosines.every((cosine) => cosine !== null && cosine >= TRUSTED_COSINE))
      await this.#cache.keepTrial(key, trial)
    else {
      await this.#cache.remove(key)
      untrusted.set(key, byKernels(outcome.reason, describe(target, trial, false)))
    }
    return outcome
  }

  async #build(
    site: CallSite,
    { target, onnx }: Network,
    { signal, onProgress }: BuildOptions,
  ): Promise<NativePlan> {
    const timingCache = await this.#cache.timingCache(target)
    this.#calls.check({})
    throwIfAborted(signal)
    const { native } = this.#calls
    return runLong<NativePlan, PrepareProgress>({
      signal,
      onProgress,
      cancel: () => native.cancelBuild(),
      start: (tell) =>
        awaitNative(site, () =>
          native.buildPlan(onnx, timingCache, (share) => tell({ phase: 'build', share })),
        ),
    })
  }
}

/** A backbone for a grid, and its name in the cache. */
interface Network {
  readonly target: PlanTarget
  readonly onnx: Uint8Array
  readonly key: string
}

function byKernels(reason: string | null, tensorrt: Prepared['tensorrt'] = null): Outcome {
  return { backboneEngine: 'kernels', reason, tensorrt }
}

function describe({ version }: PlanTarget, { cosines, milliseconds }: Trial, built: boolean) {
  const { kernels, tensorrt } = milliseconds
  return { version, cosines, milliseconds: { kernels, tensorrt }, built }
}

/** Undefined for a plan that cannot be loaded. */
function ifUnusable(error: unknown): undefined {
  if (error instanceof FlowError && error.code === 'ERR_DEVICE') return undefined
  throw error
}

function isFaster({ milliseconds: { kernels, tensorrt } }: Trial): boolean {
  return tensorrt < kernels
}

function slower({ version }: PlanTarget, { milliseconds: { kernels, tensorrt } }: Trial): string {
  return `the kernels are faster: ${kernels.toFixed(2)} ms a frame, TensorRT ${version} ${tensorrt.toFixed(2)} ms`
}
