import type { Command } from 'commander'
import { FlowError } from '../../errors.js'
import { readFlow } from '../../formats/index.js'
import { decodeFrame } from '../../image/decode.js'
import { evaluate } from '../../metrics.js'
import { dimensions, pixels } from '../amounts.js'
import { type Cli, printJson, printLines } from '../cli.js'
import { parsePixels } from '../parse.js'
import { table } from '../table.js'

interface MetricsFlags {
  readonly valid?: string
  readonly maxFlow: number
  readonly json?: true
}

export function addMetrics(program: Command, cli: Cli): void {
  program
    .command('metrics')
    .summary('measure the error of flow against its ground truth')
    .description(
      'Measures the error of flow against its ground truth, over all pixels whose ground truth is known.',
    )
    .argument('<prediction>', 'flow file')
    .argument('<groundtruth>', 'flow file of the same size')
    .option('--valid <picture>', 'leave out pixels that are black in this picture')
    .option('--max-flow <px>', 'leave out pixels that move this far or farther', parsePixels, 400)
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  dinov3-flow metrics flow.flo truth.png --valid mask.png')
    .action(async (prediction: string, groundTruth: string, flags: MetricsFlags) => {
      const [predicted, truth] = await Promise.all([readFlow(prediction), readFlow(groundTruth)])
      const { maxFlow } = flags
      const errors =
        flags.valid === undefined
          ? evaluate(predicted, truth, { maxFlow })
          : evaluate(predicted, truth, { maxFlow, valid: await readMask(flags.valid) })
      if (errors.validPixels === 0)
        throw new FlowError('ERR_ARGUMENT', `${groundTruth}: no pixel is valid: there is nothing to compare`)
      if (flags.json === true) {
        printJson(cli.out, errors)
        return
      }
      const share = (value: number) => `${(100 * value).toFixed(2)} %`
      printLines(
        cli.out,
        table([
          ['EPE', `${pixels(errors.epe)}, mean end-point error`],
          ['below 1 px', share(errors.px1)],
          ['below 3 px', share(errors.px3)],
          ['below 5 px', share(errors.px5)],
          ['Fl-all', `${errors.flAll.toFixed(2)} %, off by more than 3 px and 5 %`],
          [
            'pixels',
            `${errors.validPixels} of ${predicted.width * predicted.height} (${dimensions(predicted)})`,
          ],
        ]),
      )
    })
}

/** Reads a mask: 1 for every pixel that is not black, else 0. */
async function readMask(path: string): Promise<Uint8Array> {
  const { data, format, width, height } = await decodeFrame(path, '--valid')
  const channels = format === 'gray' ? 1 : 3
  const mask = new Uint8Array(width * height)
  for (let i = 0; i < data.length; i++) if (data[i] !== 0) mask[Math.floor(i / channels)] = 1
  return mask
}
