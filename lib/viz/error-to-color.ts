import { FlowError } from '../errors.js'
import type { FlowField } from '../flow-field.js'
import { isUnknown } from '../formats/unknown.js'
import type { RgbImage } from '../image/rgb-image.js'
import { sameSize } from '../size.js'
import { checkField } from '../support/arguments.js'

/**
 * KITTI's classes of errors: the lower end of each, in units of the error from which a pixel counts as wrong, and its colour from
 * ColorBrewer's RdYlBu. KITTI's development kit, log_colormap.h, draws errors so.
 */
const CLASSES: readonly (readonly [from: number, color: readonly [number, number, number]])[] = [
  [0, [49, 54, 149]],
  [1 / 16, [69, 117, 180]],
  [1 / 8, [116, 173, 209]],
  [1 / 4, [171, 217, 233]],
  [1 / 2, [224, 243, 248]],
  [1, [254, 224, 144]],
  [2, [253, 174, 97]],
  [4, [244, 109, 67]],
  [8, [215, 48, 39]],
  [16, [165, 0, 38]],
]

/**
 * Draws the end-point errors of flow as KITTI does: blue is right, yellow to red is wrong. The colours change where the error doubles;
 * from blue to yellow they do at 3 px or 5 % of the motion's length, whichever is more, where Fl-all counts a pixel as wrong. Pixels
 * whose ground truth is unknown are black.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if the sizes differ
 */
export function errorToColor(prediction: FlowField, groundTruth: FlowField): RgbImage {
  checkField(prediction, 'prediction')
  checkField(groundTruth, 'groundTruth')
  const { width, height, x, y } = prediction
  if (!sameSize(prediction, groundTruth))
    throw new FlowError(
      'ERR_ARGUMENT',
      `the prediction is ${width} x ${height}, the ground truth ${groundTruth.width} x ${groundTruth.height}`,
    )
  const [gx, gy] = [groundTruth.x, groundTruth.y]
  const data = new Uint8Array(3 * width * height)
  for (let i = 0; i < x.length; i++) {
    if (isUnknown(gx[i]!, gy[i]!)) continue
    const error = Math.hypot(x[i]! - gx[i]!, y[i]! - gy[i]!)
    const wrong = Math.max(3, 0.05 * Math.hypot(gx[i]!, gy[i]!))
    // A prediction of NaN is in no class, and so in the last one.
    const next = CLASSES.findIndex(([from]) => !(error >= from * wrong))
    data.set(CLASSES[Number.isNaN(error) || next === -1 ? CLASSES.length - 1 : next - 1]![1], 3 * i)
  }
  return { data, width, height }
}
