import { DEFAULT_MODEL } from '../../../checkpoint/default-model.js'
import type { FeatureMap } from '../../../feature-map.js'
import type { Frame } from '../../../frame.js'
import { FlowError } from '../../../errors.js'
import { defaultsOf } from '../../../load.js'
import type { FlowModel } from '../../../model.js'
import type { FlowStream } from '../../../stream.js'
import type { StreamResult } from '../../../stream-options.js'
import { resolveGrid } from '../../../size.js'
import { modelFiles, type ModelFlags } from '../../run/model-files.js'
import type { BenchFrames } from '../frames.js'
import type { Parts } from '../scenarios/sample.js'
import type { OurContender } from './contender.js'
import type { CameraTarget, Pushed, Target } from './target.js'

/** A contender of ours, with a model that may be shared. */
export function ourTarget(
  contender: OurContender,
  model: FlowModel,
  load: number | null,
  flags: ModelFlags,
  frames: BenchFrames,
): Target {
  const defaults = defaultsOf({ ...contender, ...modelFiles(flags) })
  const { backward, occlusion, confidence, call } = contender
  const { engine, device, threads, instructionSet, precision, gpu, backbone } = model.info
  const { gridHeight, gridWidth } = resolveGrid(defaults.size, frames, backbone.patch)
  const options = { ...defaults, backward, occlusion, confidence, reuse: true }
  // Where a GPU reads frames directly, this is the memory that it reads.
  const own = frames.list.map((frame) => {
    const copy = model.createFrame(frame)
    copy.data.set(frame.data)
    return copy
  })
  const frameAt = (index: number) => own[frames.at(index)]!
  const streams: FlowStream[] = []
  const streamAt = (n: number) =>
    (streams[n] ??= model.stream({ ...options, queue: { depth: 10_000, policy: 'wait' } }))
  const info = {
    call,
    network: `${gridWidth * backbone.patch} x ${gridHeight * backbone.patch}`,
    refine: defaults.refine,
    engine,
    device,
    ...(gpu === null ? { threads, instructionSet } : { driver: gpu.driver, kernels: gpu.kernels }),
    precision,
    weights: weightsOf(model),
  }
  const target = { name: contender.name, info, load }
  const close = async () => {
    for (const stream of streams) stream.close()
  }
  if (call === 'stream' || call === 'sync') {
    const push =
      call === 'stream'
        ? (n: number, index: number) => pushed(streamAt(n), frameAt(index))
        : async (n: number, index: number) => pushedSync(streamAt(n), frameAt(index))
    const camera = (): CameraTarget => {
      const stream = model.stream({ ...options, queue: { depth: 1, policy: 'drop-oldest' } })
      return {
        push: async (index) => {
          const { dropped, ...outcome } = await pushed(stream, frameAt(index))
          return dropped === true ? null : outcome
        },
        close: () => stream.close(),
      }
    }
    return { ...target, push, camera: call === 'stream' ? camera : undefined, close }
  }
  if (call === 'pair') {
    const into = model.createField(frames.width, frames.height)
    const all = { backward, occlusion, confidence }
    const maps = backward || occlusion || confidence
    return {
      ...target,
      push: async (_, index) => {
        const [a, b] = [frameAt(index - 1), frameAt(index)]
        if (maps) await model.flowMaps(a, b, { ...defaults, ...all })
        else await model.flow(a, b, { ...defaults, into })
        return {}
      },
      close,
    }
  }
  if (call === 'backbone')
    return {
      ...target,
      push: async (_, index) => {
        const features = await model.features(frameAt(index), defaults)
        features.dispose()
        return {}
      },
      close,
    }
  const maps: FeatureMap[] = []
  const into = model.createField(frames.width, frames.height)
  return {
    ...target,
    push: async () => {
      if (maps.length < 2)
        maps.push(await model.features(own[0]!, defaults), await model.features(own[1]!, defaults))
      await model.flowFromFeatures(maps[0]!, maps[1]!, { into, refine: defaults.refine })
      return {}
    },
    close: async () => {
      for (const map of maps) map.dispose()
    },
  }
}

function weightsOf({ info }: FlowModel): string {
  const { backbone, head } = info.files
  return backbone === DEFAULT_MODEL ? "the package's" : backbone === head ? head : `${backbone}, ${head}`
}

async function pushed(stream: FlowStream, frame: Frame): Promise<Pushed & { readonly dropped?: boolean }> {
  const begin = performance.now()
  const promise = stream.push(frame)
  const called = performance.now()
  return outcome(await promise, begin, called)
}

function pushedSync(stream: FlowStream, frame: Frame): Pushed {
  const begin = performance.now()
  return outcome(stream.pushSync(frame), begin, begin)
}

function outcome(
  result: StreamResult | undefined,
  begin: number,
  called: number,
): Pushed & { readonly dropped?: boolean } {
  if (result === undefined) return {} // the first frame
  if (result.flow === null) {
    if (result.reason === 'dropped') return { dropped: true }
    throw new FlowError('ERR_FRAME', `frame ${result.index} has no flow: ${result.reason}`)
  }
  return { parts: partsOf(result.timing, performance.now() - begin, called - begin) }
}

/** A stream's own timing counts from within the call. What it does not know of is the call and the way back. */
function partsOf(
  timing: { readonly queue: number; readonly engine: number },
  total: number,
  copy: number,
): Parts {
  const queue = Math.max(0, timing.queue - copy)
  return { copy, queue, engine: timing.engine, result: Math.max(0, total - copy - queue - timing.engine) }
}
