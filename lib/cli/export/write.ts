import type { OpenModel } from '../../checkpoint/open-model.js'
import { elements } from '../../checkpoint/layout.js'
import { provenance } from '../../checkpoint/provenance.js'
import type { NamedValues } from '../../checkpoint/weights.js'
import { safetensors } from '../../checkpoint/write/safetensors.js'
import { type CheckpointPart, stateOf } from '../../checkpoint/write/state.js'
import { torchFile } from '../../checkpoint/write/torch.js'
import type { RopePeriods } from '../../load.js'
import { type Exported, exportOnnx } from '../../onnx/export.js'
import type { ModelOptions } from '../../onnx/models.js'
import { toPath } from '../../support/file-path.js'
import { writeTogether } from '../../support/write-file.js'
import { packageVersion } from '../package.js'
import type { ModelFiles } from '../run/model-files.js'

/** What a command line asks for. */
export interface Order {
  readonly files: ModelFiles
  readonly ropePeriods: RopePeriods | undefined
  readonly onnx:
    (Pick<ModelOptions, 'size' | 'precision' | 'normalisation'> & { readonly folder: string }) | undefined
  readonly safetensors: string | undefined
  readonly pth: string | undefined
  readonly part: CheckpointPart
}

/** How far the work is. */
export interface Watcher {
  stage(path: string): void
  /** Called with 0 to 1. It may throw, which ends the work. */
  reached(share: number): void
}

/** Writes what was ordered, and returns the files. */
export async function writeExports(
  model: OpenModel,
  { onnx, safetensors: plain, pth, part, ropePeriods }: Order,
  watch: Watcher,
): Promise<readonly Exported[]> {
  const written: Exported[] = []
  if (onnx !== undefined) {
    const { folder, ...options } = onnx
    watch.stage(folder)
    const onProgress = (share: number) => watch.reached(share)
    const common = { ropePeriods, version: packageVersion(), onProgress }
    written.push(...(await exportOnnx(toPath(folder, '--onnx'), model, { ...options, ...common })))
  }
  const tensors = stateOf(model, part, ropePeriods)
  const checkpoints = [
    { path: plain, option: '--safetensors', pieces: () => safetensors(tensors, provenance(model)) },
    { path: pth, option: '--pth', pieces: () => torchFile(tensors) },
  ]
  for (const { path, option, pieces } of checkpoints) {
    if (path === undefined) continue
    watch.stage(path)
    const counter = new Counter(pieces(), parameterBytes(tensors), watch)
    await writeTogether([{ path: toPath(path, option), bytes: counter }])
    written.push({ path, bytes: counter.bytes })
  }
  return written
}

function parameterBytes(tensors: readonly NamedValues[]): number {
  return tensors.reduce((sum, { shape }) => sum + 4 * elements(shape), 0)
}

/** The pieces of a file, which are counted on their way. */
class Counter implements Iterable<Uint8Array> {
  bytes = 0

  constructor(
    private readonly pieces: Iterable<Uint8Array>,
    private readonly total: number,
    private readonly watch: Watcher,
  ) {}

  *[Symbol.iterator](): Generator<Uint8Array> {
    for (const piece of this.pieces) {
      this.watch.reached(Math.min(1, this.bytes / this.total))
      yield piece
      this.bytes += piece.length
    }
  }
}
