import { FlowError } from '../errors.js'
import { toPath } from '../support/file-path.js'
import { shown } from '../support/quote.js'

/** A model in a checkpoint that holds several. */
export interface CheckpointReference {
  /** Path or file: URL. */
  readonly path: string | URL
  /**
   * What stands in front of the names of the model's tensors in the file, such as `'student.backbone.'` or `'model.'`; `''` is
   * nothing. The last dot may be left out, and so may the beginning. `inspectCheckpoint` lists the prefixes of a file. Default:
   * the model with the most weights; among equals the average of the weights (EMA, SWA) rather than the weights themselves,
   * then a teacher, then a student.
   */
  readonly prefix?: string | undefined
}

/** A checkpoint: a path, a file: URL, or either with the prefix of a model in it. */
export type CheckpointSource = string | URL | CheckpointReference

/** What a caller gave as the path, unchecked. */
export function pathOf(source: CheckpointSource): string | URL {
  return isReference(source) ? source.path : source
}

function isReference(source: CheckpointSource): source is CheckpointReference {
  return typeof source === 'object' && source !== null && 'path' in source
}

/**
 * The path and prefix of a checkpoint that a caller named.
 *
 * @param name - name of the option in messages
 * @throws {FlowError} `ERR_ARGUMENT` if it is neither a path, a file: URL, nor an object with one and a prefix
 */
export function toReference(
  source: CheckpointSource,
  name: string,
): { readonly path: string; readonly prefix: string | undefined } {
  if (!isReference(source)) return { path: toPath(source, name), prefix: undefined }
  const { path, prefix } = source
  if (prefix !== undefined && typeof prefix !== 'string')
    throw new FlowError('ERR_ARGUMENT', `${name}.prefix: must be a string, not ${shown(prefix)}`)
  return { path: toPath(path, `${name}.path`), prefix }
}
