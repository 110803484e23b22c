import { setImmediate } from 'node:timers/promises'
import { type ModelSource, withModel } from '../checkpoint/open-model.js'
import { FlowError } from '../errors.js'
import { type PatchModelOptions, patchModelContent } from '../onnx/patches.js'
import { onnxFiles } from '../onnx/write.js'
import { allocateBytes } from '../support/allocate.js'

/**
 * The ONNX file of a backbone from patches, in memory. Other work takes turns with it.
 *
 * @throws {FlowError} as `FlowModel.load`, for what can be wrong with files; `ERR_CHECKPOINT_TENSOR` for a weight that float16 does
 *   not hold; `ERR_ARGUMENT` for a network of more than 2 GiB
 */
export async function patchModel(source: ModelSource, options: PatchModelOptions): Promise<Uint8Array> {
  return withModel(source, async (model) => {
    const { files, bytes } = onnxFiles('backbone.onnx', patchModelContent(model, options))
    const [file, beside] = files
    if (file === undefined || beside !== undefined)
      throw new FlowError('ERR_ARGUMENT', 'the backbone has more than the 2 GiB that an ONNX file can hold')
    const whole = allocateBytes(bytes, 'an ONNX file')
    let at = 0
    for await (const piece of file.bytes as Iterable<Uint8Array>) {
      whole.set(piece, at)
      at += piece.byteLength
      await setImmediate()
    }
    return whole
  })
}
