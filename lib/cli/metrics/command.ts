import type { Command } from 'commander'
import { FlowError } from '../../errors.js'
import type { FlowField } from '../../flow-field.js'
import { type PngCode, readFlow, readMask } from '../../formats/index.js'
import { evaluate, type EvaluateOptions, type FlowErrors, type FlowMetricsOptions } from '../../metrics.js'
import { shortPath } from '../../support/quote.js'
import { isTwice, subsampleValues } from '../../subsample.js'
import { dimensions, pixels } from '../amounts.js'
import { type Cli, printJson, printLines } from '../cli.js'
import { FLOW_FILES, pngCodeOption } from '../flow-input.js'
import { checkInputs } from '../outputs.js'
import { parsePixels } from '../parse.js'
import { type Row, table } from '../table.js'

interface MetricsFlags {
  readonly valid?: string
  readonly invalid?: string
  readonly occluded?: string
  readonly maxFlow: number
  readonly pngCode: PngCode
  readonly json?: true
}

export function addMetrics(program: Command, cli: Cli): void {
  program
    .command('metrics')
    .summary('measure the error of flow against its ground truth')
    .description(
      'Measures the error of flow against its ground truth, over all pixels whose ground truth is known.\n' +
        'Ground truth of twice the width and height, as of Spring, is subsampled: every second pixel of every second row.',
    )
    .argument('<prediction>', `flow file: ${FLOW_FILES}`)
    .argument('<groundtruth>', 'flow file of the same size, or of twice the width and height')
    .option('--valid <mask>', 'leave out pixels that are black (0) in this picture or .npy')
    .option(
      '--invalid <mask>',
      "leave out pixels that are not black in this one, such as Sintel's invalid/*.png",
    )
    .option(
      '--occluded <mask>',
      "tell the error of hidden pixels, which are not black in this one, such as Sintel's occlusions/*.png, from that of others",
    )
    .option('--max-flow <px>', 'leave out pixels that move this far or farther', parsePixels, 400)
    .addOption(pngCodeOption())
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
A mask may be a picture of 1, 8 or 16 bits, or .npy of bool or numbers, of the size of either file.

Examples:
  dinov3-flow metrics flow.flo truth.png --valid mask.png
  dinov3-flow metrics flow.flo truth.flo --invalid invalid/frame_0001.png
  dinov3-flow metrics flow.flo dsec.png --png-code dsec`,
    )
    .action(async (prediction: string, groundTruth: string, flags: MetricsFlags) => {
      checkInputs([prediction, groundTruth, flags.valid, flags.invalid, flags.occluded])
      const [predicted, truth] = await Promise.all([
        readFlow(prediction, flags),
        readFlow(groundTruth, flags),
      ])
      const valid = await countedPixels(predicted, truth, flags)
      const occluded =
        flags.occluded === undefined ? undefined : await maskFor(flags.occluded, predicted, truth)
      const options = { valid, occluded, maxFlow: flags.maxFlow }
      const errors = compare([prediction, predicted], [groundTruth, truth], options)
      if (errors.validPixels === 0) throw nothingValid(groundTruth, flags)
      if (flags.json === true) {
        printJson(cli.out, errors)
        return
      }
      const share = (value: number) => `${(100 * value).toFixed(2)} %`
      const pixelCount = predicted.width * predicted.height
      printLines(
        cli.out,
        table([
          ['EPE', `${pixels(errors.epe)}, mean end-point error`],
          ['below 1 px', share(errors.px1)],
          ['below 3 px', share(errors.px3)],
          ['below 5 px', share(errors.px5)],
          ['Fl-all', `${errors.flAll.toFixed(2)} %, off by more than 3 px and 5 %`],
          ...partRows(errors),
          [
            'pixels',
            `${errors.validPixels} of ${pixelCount} (${dimensions(predicted)})`,
            ...(errors.subsampled === 0
              ? []
              : [
                  `note: every second pixel of every second row of ${groundTruth} (${dimensions(truth)}), as Spring's rules say`,
                ]),
          ],
        ]),
      )
    })
}

/** The errors of some of the pixels, where there are any. */
function partRows({ s0to10, s10to40, s40plus, matched, occluded }: FlowErrors): Row[] {
  const parts = [
    ['s0-10', s0to10, 'of motions below 10 px'],
    ['s10-40', s10to40, 'of motions of 10 to 40 px'],
    ['s40+', s40plus, 'of motions of more than 40 px'],
    ['matched', matched, 'of pixels that stay visible'],
    ['occluded', occluded, 'of pixels that are hidden or leave the frame'],
  ] as const
  return parts
    .filter(([, epe]) => !Number.isNaN(epe))
    .map(([label, epe, pixelsOf]) => [label, `${pixels(epe)}, EPE ${pixelsOf}`])
}

function compare(
  [prediction, predicted]: readonly [string, FlowField],
  [groundTruth, truth]: readonly [string, FlowField],
  options: EvaluateOptions & FlowMetricsOptions,
): FlowErrors {
  try {
    return evaluate(predicted, truth, options)
  } catch (cause) {
    if (!(cause instanceof FlowError)) throw cause
    throw new FlowError(
      cause.code,
      `${shortPath(prediction, 70)} against ${shortPath(groundTruth, 70)}: ${cause.message}`,
      { cause },
    )
  }
}

/** 1 for every pixel that the masks leave; undefined if there is no mask. */
async function countedPixels(
  predicted: FlowField,
  truth: FlowField,
  flags: MetricsFlags,
): Promise<ArrayLike<number> | undefined> {
  if (flags.valid === undefined && flags.invalid === undefined) return undefined
  const valid = flags.valid === undefined ? undefined : await maskFor(flags.valid, predicted, truth)
  const invalid = flags.invalid === undefined ? undefined : await maskFor(flags.invalid, predicted, truth)
  return predicted.x.map((_, i) => (valid?.[i] ?? 1) * (1 - (invalid?.[i] ?? 0)))
}

/** A mask at the size of the prediction. */
async function maskFor(path: string, predicted: FlowField, truth: FlowField): Promise<ArrayLike<number>> {
  const mask = await readMask(path)
  if (mask.width === predicted.width && mask.height === predicted.height) return mask.data
  if (isTwice(mask, predicted) && isTwice(truth, predicted)) return subsampleValues(mask.data, predicted)
  throw new FlowError(
    'ERR_FRAME',
    `${shortPath(path)}: the mask is ${dimensions(mask)}, and the flow ${dimensions(predicted)}: give the mask of this frame, not resized`,
  )
}

function nothingValid(groundTruth: string, { valid, invalid, maxFlow }: MetricsFlags): FlowError {
  const masks = [valid, invalid].filter((path) => path !== undefined)
  const causes = [
    `its flow is unknown or ${maxFlow} px and more`,
    ...masks.map((path) => `left out by ${shortPath(path, 70)}`),
  ]
  return new FlowError(
    'ERR_ARGUMENT',
    `${shortPath(groundTruth, 100)}: no pixel is valid (${causes.join(', or ')}): there is nothing to compare`,
  )
}
