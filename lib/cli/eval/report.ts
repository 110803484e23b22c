import type { FlowErrors } from '../../metrics.js'
import type { DataSetName } from './datasets/index.js'
import type { FlowModelInfo } from '../../load.js'
import type { Prepared } from '../../prepare.js'

/** Figures of some pairs. Those that are not known are NaN, which JSON has as null. */
export interface Figures extends FlowErrors {
  readonly pairs: number
}

/** A pair that could not be measured. */
export interface FailedPair {
  readonly pair: string
  readonly code: string
  readonly message: string
}

/** The results of `eval`. `--json` writes them. */
export interface EvalReport {
  /** Of this package. */
  readonly version: string
  readonly dataset: DataSetName
  readonly root: string
  /** What was measured: the parts of the data set, and the options that figures depend on. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly all: Figures
  readonly sequences: readonly (Figures & { readonly sequence: string })[]
  readonly pairs: readonly (FlowErrors & { readonly pair: string })[]
  readonly failed: readonly FailedPair[]
  readonly info: FlowModelInfo
  /** What computed the backbone, for each size; empty without `--backbone-engine`. */
  readonly prepared: readonly Prepared[]
}
