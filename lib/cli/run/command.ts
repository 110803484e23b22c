import type { Command } from 'commander'
import { READ_KINDS } from '../../image/decode.js'
import { PICTURE_EXTENSIONS } from '../../image/save.js'
import { type Cli, printJson, printLines } from '../cli.js'
import { addComputationOptions, addModelOptions } from '../model-options.js'
import { parseOutputSize, parsePixels } from '../parse.js'
import { type RunFlags, runFlow } from './flow.js'
import { summarize } from './summary.js'

export function addRun(program: Command, cli: Cli): void {
  const command = program
    .command('run')
    .summary('compute the flow between two pictures')
    .description(
      'Computes the flow from the first picture to the second: for every pixel of the first, where it went.',
    )
    .argument('<first>', `the earlier picture: ${READ_KINDS}; - is standard input`)
    .argument('<second>', 'the later picture')
  addModelOptions(command)
  command
    .optionsGroup('Output:')
    .option('-o, --output <file>', 'write the flow: .flo, .png (KITTI), .pfm, .npy or .flo5')
    .option(
      '--viz <file>',
      `draw the flow in colours (hue is the direction, white is no motion): ${PICTURE_EXTENSIONS.join(', ')}`,
    )
    .option('--arrows <file>', 'draw the flow as arrows over the first picture: a picture, as --viz')
    .option(
      '--confidence <file>',
      'write how certain the flow is, pixel by pixel: .png (black is 0, white 1) or .npy',
    )
    .option('--occlusion <file>', 'write which pixels are hidden in the second picture: .png or .npy')
    .option(
      '--backward',
      'also write the flow from second to first, as <name>.backward.<ext>: costs one pass of the head',
    )
    .option('--output-size <size>', 'frame, model or HEIGHTxWIDTH', parseOutputSize, 'frame' as const)
    .option('--json', 'print one JSON object instead of the summary')
    .option('-q, --quiet', 'print no summary and no progress')
    .optionsGroup('Colours of --viz:')
    .option(
      '--scale <px>',
      'motion that gets the full colour (default: the longest in the flow)',
      parsePixels,
    )
    .option('--clip-max <px>', 'clamp both components to this', parsePixels)
    .option('--clip-min <px>', 'show shorter motion as none', parsePixels)
  addComputationOptions(command)
  command
    .optionsGroup('Options:')
    .option('--strict', 'refuse pictures with faults that decoders recover from, such as a missing end')
    .addHelpText(
      'after',
      `
Examples:
  dinov3-flow run 1.png 2.png -o flow.flo --viz flow.png
  dinov3-flow run 1.png 2.png --backbone vits16plus.pth --head model.pth -o flow.flo
  dinov3-flow run 1.png 2.png --backbone vits16plus/ --head model.pth --backward -o flow.npy
  dinov3-flow run 1.png 2.png --json`,
    )
    .action(async (first: string, second: string, flags: RunFlags) => {
      const report = await runFlow(first, second, flags, cli)
      if (flags.json === true) printJson(cli.out, report)
      else if (flags.quiet !== true) printLines(cli.out, summarize(report))
    })
}
