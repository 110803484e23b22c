import { DEFAULT_MODEL } from '../../../checkpoint/default-model.js'
import { defaultsOf } from '../../../load.js'
import type { FlowModel } from '../../../model.js'
import { resolveGrid } from '../../../size.js'
import { describePrepared } from '../../run/summary.js'
import { modelFiles, type ModelFlags } from '../../run/model-files.js'
import type { BenchFrames } from '../frames.js'
import { CALLS } from './calls.js'
import type { OurContender } from './contender.js'
import type { Target } from './target.js'

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
  const prepared = model.prepared.find(
    ({ grid }) => grid.gridHeight === gridHeight && grid.gridWidth === gridWidth,
  )
  // Where a GPU reads frames directly, this is the memory that it reads.
  const own = frames.list.map((frame) => {
    const copy = model.createFrame(frame)
    copy.data.set(frame.data)
    return copy
  })
  const frameAt = (index: number) => own[frames.at(index)]!
  const info = {
    call,
    network: `${gridWidth * backbone.patch} x ${gridHeight * backbone.patch}`,
    refine: defaults.refine,
    engine,
    device,
    ...(gpu === null ? { threads, instructionSet } : { driver: gpu.driver, kernels: gpu.kernels }),
    precision,
    ...(prepared && { backbone: describePrepared(prepared) }),
    weights: weightsOf(model),
  }
  const options = { ...defaults, backward, occlusion, confidence }
  return { name: contender.name, info, load, ...CALLS[call]({ model, frameAt, options }) }
}

function weightsOf({ info }: FlowModel): string {
  const { backbone, head } = info.files
  return backbone === DEFAULT_MODEL ? "the package's" : backbone === head ? head : `${backbone}, ${head}`
}
