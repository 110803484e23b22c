import { type Command, Option } from 'commander'
import { type PngCode, readFlow } from '../../formats/index.js'
import { backgroundOf } from '../../image/background.js'
import { decodeFrame } from '../../image/decode.js'
import { PICTURE_EXTENSIONS, saveImage } from '../../image/save.js'
import { drawArrows, type FlowColorOptions, flowToColor } from '../../viz/index.js'
import { dimensions, pixels } from '../amounts.js'
import { type Cli, printLines } from '../cli.js'
import { FLOW_FILES, pngCodeOption } from '../flow-input.js'
import { checkInputs, checkOutputs } from '../outputs.js'
import { parsePixels } from '../parse.js'

interface VizFlags extends FlowColorOptions {
  readonly output: string
  readonly frame?: string
  readonly strict?: true
  readonly pngCode: PngCode
}

export function addViz(program: Command, cli: Cli): void {
  const color = (flags: string, description: string) =>
    new Option(flags, description).argParser(parsePixels).conflicts('frame')
  program
    .command('viz')
    .summary('draw a flow file')
    .description(
      'Draws a flow file: in colours (hue is the direction, white is no motion), or as arrows over a picture.',
    )
    .argument('<flow>', FLOW_FILES)
    .requiredOption('-o, --output <file>', `picture to write: ${PICTURE_EXTENSIONS.join(', ')}`)
    .option('--frame <file>', 'draw arrows over this picture, the one that the flow starts from')
    .option('--strict', 'refuse a picture with faults that decoders recover from')
    .addOption(pngCodeOption())
    .addOption(color('--scale <px>', 'motion that gets the full colour (default: the longest in the file)'))
    .addOption(color('--clip-max <px>', 'clamp both components to this'))
    .addOption(color('--clip-min <px>', 'show shorter motion as none'))
    .addHelpText(
      'after',
      `
Examples:
  dinov3-flow viz flow.flo -o flow.png
  dinov3-flow viz flow.flo -o flow.png --scale 20        the same colours for every frame of a video
  dinov3-flow viz flow.flo -o arrows.png --frame 1.png`,
    )
    .action(async (path: string, flags: VizFlags) => {
      const { output, frame } = flags
      checkInputs([path, frame])
      const inputs = frame === undefined ? [path] : [path, frame]
      checkOutputs([{ option: '--output', path: output, kind: 'picture' }], inputs)
      const flow = await readFlow(path, flags)
      const background = frame === undefined ? undefined : await decodeFrame(frame, '--frame', flags)
      const picture =
        background === undefined
          ? flowToColor(flow, flags)
          : await drawArrows(await backgroundOf(background.frame, flow), flow)
      await saveImage(output, picture)
      const { mean, max } = flow.magnitude()
      const fault = background?.fault
      printLines(cli.out, [
        `wrote ${output}: ${dimensions(flow)}, motion mean ${pixels(mean)}, max ${pixels(max)}`,
        ...(fault === undefined ? [] : [`note: ${frame} has a fault: ${fault}`]),
      ])
    })
}
