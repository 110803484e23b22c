import { FlowError } from '../../errors.js'
import { loadModel } from '../../load.js'
import { callSite } from '../../native/failure.js'
import { patchModel } from '../../tensorrt/patch-model.js'

/** TensorRT beside the kernels, with the package's model. */
export interface TensorRTTest {
  /** Cosine of the features of both, for a picture and for noise. */
  readonly cosines: readonly number[]
  /** Milliseconds of one pass of the backbone. */
  readonly milliseconds: { readonly kernels: number; readonly tensorrt: number }
}

/** Small, since an engine is built for it each time. */
const GRID = { height: 6, width: 8 }

/**
 * Builds the backbone of the package's model, and runs it on the first GPU. The cache has no part in it.
 *
 * @throws {FlowError} `ERR_DEVICE` if TensorRT fails, or computes something else than the kernels; as `FlowModel.load`
 */
export async function testTensorRT(): Promise<TensorRTTest> {
  const { native, info, source } = await loadModel({ device: 'cuda' }, callSite(testTensorRT))
  try {
    const precision = info.precision === 'fp16' ? 'float16' : 'float32'
    const onnx = await patchModel(source, { grid: GRID, precision })
    const { plan } = await native.buildPlan(onnx, new Uint8Array(), () => undefined)
    const trial = await native.usePlan(GRID.height, GRID.width, plan, false)
    if (!trial.used) throw new FlowError('ERR_DEVICE', trial.reason ?? 'TensorRT is not used')
    return { cosines: trial.cosines, milliseconds: trial.milliseconds }
  } finally {
    await native.dispose()
  }
}
