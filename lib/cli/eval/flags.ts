import type { ComputationFlags } from '../model-options.js'
import type { ModelFlags } from '../run/model-files.js'
import type { Part } from './datasets/dataset.js'

/** The options of `eval`, as commander hands them over. */
export interface EvalFlags extends ModelFlags, ComputationFlags {
  readonly pass?: Part['pass']
  readonly split?: Part['split']
  readonly maxFlow: number
  readonly excludeInvalid?: true
  readonly limit?: number
  readonly json?: string
  readonly worst?: number
  readonly output?: string
  readonly quiet?: true
}
