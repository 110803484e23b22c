import { join } from 'node:path'
import type { OpenModel } from '../checkpoint/open-model.js'
import { makeFolder } from '../support/make-folder.js'
import { writeTogether } from '../support/write-file.js'
import { modelContent, type ModelOptions, MODELS } from './models.js'
import { onnxFiles } from './write.js'

export interface OnnxOptions extends ModelOptions {
  /** Bytes from which on a model has its tensors in a file beside it. Default: 2 GiB. */
  readonly largest?: number | undefined
  /** Called with the share that is written, 0 to 1. It may throw, which ends the export. */
  readonly onProgress?: ((share: number) => void) | undefined
}

/** A file that was written. */
export interface Exported {
  readonly path: string
  /** Bytes, with those of the file beside it. */
  readonly bytes: number
}

/**
 * Writes `backbone.onnx`, `head.onnx` and `flow.onnx`, which is both in one, to a folder, which is made. All of them appear, or none.
 *
 * @throws {FlowError} `ERR_ARGUMENT` for a size that is no multiple of the patch; `ERR_CHECKPOINT_TENSOR` for a weight that is not
 *   finite in this precision; `ERR_IO` if a file cannot be read or written
 */
export async function exportOnnx(
  folder: string,
  model: OpenModel,
  { largest, onProgress, ...options }: OnnxOptions,
): Promise<readonly Exported[]> {
  let done = 0
  const onBytes = (bytes: number) => {
    onProgress?.(done / total)
    done += bytes
  }
  const models = MODELS.map((which) => {
    const path = join(folder, `${which}.onnx`)
    return { path, ...onnxFiles(path, modelContent(which, model, options), { largest, onBytes }) }
  })
  const total = models.reduce((sum, { bytes }) => sum + bytes, 0)
  makeFolder(folder)
  await writeTogether(models.flatMap(({ files }) => files))
  return models.map(({ path, bytes }) => ({ path, bytes }))
}
