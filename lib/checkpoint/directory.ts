import type { StoredTensor } from './tensor.js'

/** What a format's reader found. Every tensor lies inside the file. */
export interface Directory {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  readonly metadata: Readonly<Record<string, string>>
  /** As in `CheckpointFile`. */
  readonly objects: ReadonlyMap<string, string>
  readonly skipped: readonly string[]
}
