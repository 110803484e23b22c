import type { StoredTensor } from './tensor.js'

/** What a format's reader finds: every tensor in it lies inside the file. */
export interface Directory {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  readonly metadata: Readonly<Record<string, string>>
}
