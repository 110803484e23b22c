import type { StoredTensor } from './tensor.js'

/** The tensors and metadata that a format's reader found. Every tensor lies inside the file. */
export interface Directory {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  readonly metadata: Readonly<Record<string, string>>
}
