// The kernels whose launches waste time, and why. Waste is the share of a launch's time that bank conflicts and unused bytes of
// sectors cost (predict.mjs). Whatever wastes more than LIMIT on a card needs a reason here.

export const LIMIT = 0.02

/** "gemm_add" of "gemm_add_f16_128x64": the kernels that are instances of one template. */
export const familyOf = (kernel) => kernel.replace(/_(f16|bf16|f32).*$/, '')

/** By family of kernels. */
export const REASONS = {
  attention:
    'Its result is stored from fragments of mma: a lane has two neighbouring columns, so four lanes store 16 of the 32 bytes of a sector at a time, and each sector goes to L2 twice.',
  correlation:
    'A lane stores its costs of 2 bytes one by one, from an mma’s fragment: four of them, of every second offset, in a sector. A sector of costs goes to L2 for each of its parts.',
  depthwise:
    'Where there is a scale, lanes read it for channels that are 8 floats apart: eight addresses in four banks. Where flow is appended, its two channels are a group of eight of their own, whose loads and stores are 16 bytes of a sector or less.',
  gemm_silu:
    'Rows of weights are padded to 8 elements: of 849 or 322 channels, every second row begins in the middle of a sector, so a slice of it is three sectors instead of two.',
  mask_upsample:
    'Four lanes store every second subpixel of a row of eight, in float32, then the others: 16 bytes of a sector at a time.',
  predict_flow:
    'A pixel’s flow is 8 bytes of the 64 between two rows, and its two numbers are stored one after the other.',
}

/**
 * The families of which a launch wastes more than LIMIT, worst first, each with its worst card.
 * @param {{ card: { name: string }, frame: { frameUs: number, launches: object[] } }[]} predicted
 */
export function wastefulOf(predicted) {
  const worst = new Map()
  for (const { card, frame } of predicted)
    for (const { kernel, waste } of frame.launches) {
      const family = familyOf(kernel)
      if (waste > LIMIT && waste > (worst.get(family)?.waste ?? 0))
        worst.set(family, { family, waste, card: card.name, share: shareOf(family, frame) })
    }
  return [...worst.values()].toSorted((a, b) => b.waste - a.waste)
}

/** The share of the frame's time that all launches of a family waste. */
function shareOf(family, frame) {
  const wasted = frame.launches
    .filter(({ kernel }) => familyOf(kernel) === family)
    .reduce((total, { times, us, waste }) => total + times * us * waste, 0)
  return wasted / frame.frameUs
}

/** Throws unless exactly the families of `wasteful` have a reason. */
export function checkReasons(wasteful, reasons) {
  const without = wasteful
    .filter(({ family }) => !(family in reasons))
    .map(({ family, waste, card }) => `${family} wastes ${(100 * waste).toFixed(1)} % of a launch on ${card}`)
  const needless = Object.keys(reasons).filter((family) => !wasteful.some((one) => one.family === family))
  const problems = [
    without.length > 0 && `${without.join(', ')}: mend it, or say why not`,
    needless.length > 0 &&
      `${needless.join(', ')}: no launch wastes over ${100 * LIMIT} %, so take the reason out`,
  ].filter(Boolean)
  if (problems.length > 0) throw new Error(`bench/gpu/waste.mjs: ${problems.join('; ')}`)
}
