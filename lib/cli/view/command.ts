import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Frame } from '../../frame.js'
import type { ModelPreset } from '../../load.js'
import { FlowModel } from '../../model.js'
import { toPath } from '../../support/file-path.js'
import { writeWhole } from '../../support/write-file.js'
import { byteCount, count, dimensions } from '../amounts.js'
import { AnsweredNo, type Cli, printLines } from '../cli.js'
import { FLOW_FILES, pngCodeOption } from '../flow-input.js'
import { checkInputs, checkOutputs } from '../outputs.js'
import { packageVersion } from '../package.js'
import { parsePixels } from '../parse.js'
import { Progress } from '../run/progress.js'
import { compose } from './compose.js'
import { type InputFlags, resolveInputs } from './inputs.js'
import { writePage } from './page.js'
import type { StepFields } from './step.js'

interface ViewFlags extends InputFlags {
  readonly output: string
  readonly title?: string
  readonly scale?: number
  readonly preset?: ModelPreset
  readonly quiet?: true
}

export function addView(program: Command, cli: Cli): void {
  program
    .command('view')
    .summary('write a page to look into a flow')
    .description(
      'Writes one HTML file that shows a flow in any browser, without a server or a network: in colours over its pictures, ' +
        'the vector under the pointer, blink and wipe between the first picture and the second warped back, error, ' +
        'confidence and occlusion as layers. Of a folder of flows it also shows the mean motion over time, gaps and cuts.',
    )
    .argument(
      '<flow>',
      `a flow file: ${FLOW_FILES}; a folder of them; or the first of two pictures, whose flow is computed`,
    )
    .argument(
      '[a]',
      'the picture that the flow starts from; for a folder of flows a folder of pictures, or a video',
    )
    .argument('[b]', 'the picture that the flow goes to')
    .requiredOption('-o, --output <file>', 'the page to write: .html')
    .option('--title <text>', 'title of the page (default: the names of the files)')
    .option(
      '--scale <px>',
      'motion that gets the full colour (default: the 99th percentile, at least 1)',
      parsePixels,
    )
    .option('-q, --quiet', 'print nothing but errors')
    .optionsGroup('What belongs to the flow (files; folders for a folder of flows):')
    .option(
      '--truth <flow>',
      'ground truth: shows the end-point error; may have twice the size, as of Spring',
    )
    .option('--backward <flow>', 'the flow back: shows how far there and back ends from its start')
    .option('--confidence <map>', 'how certain the flow is: a picture (black is 0, white 1) or .npy')
    .option(
      '--occlusion <map>',
      'pixels that are hidden in the second picture: a picture (not black is hidden) or .npy',
    )
    .addOption(pngCodeOption())
    .optionsGroup('Pictures:')
    .option('--strict', 'refuse pictures with faults that decoders recover from')
    .option('--start <s>', 'of a video: seconds to its first frame, as given to video', parseSeconds)
    .option('--every <n>', 'of a video or a folder: take every n-th frame, as given to video', parseCount)
    .addOption(
      new Option(
        '--preset <name>',
        "of two pictures: speed against error of the package's model (default: balanced)",
      ).choices(['fast', 'balanced', 'best']),
    )
    .addHelpText(
      'after',
      `
The flow of two pictures is computed by the package's model, with its backward flow, confidence and
occlusion. For another model, compute it first, with run. Pictures are resized to the flow; vectors
and maps never are. Vectors are exact to 0.004 px.

A page has 16.8 million pixels of flow at most. Of a larger flow, or of many, it has every 2nd, 3rd
... pixel of every 2nd, 3rd ... row, down to 320 along the longer side of a sequence, and then every
2nd, 3rd ... flow.

In a folder, NAME.backward.flo, NAME.occlusion.png and NAME.confidence.png belong to NAME.flo, which
starts from the picture NAME, or from the frame of a video with this number, from 1. That is how
video --flow names them. Other folders go by the last number in the names. A number that is left out
is a gap in the timeline. A cut is marked where the next frame, warped back, is something else: by
more than 20 of 255 levels, and 3 times the median.

Examples:
  dinov3-flow view 1.png 2.png -o view.html
  dinov3-flow view flow.flo 1.png 2.png -o view.html --truth truth.flo
  dinov3-flow view flows clip.mp4 -o clip.html      after: video clip.mp4 --flow flows
  dinov3-flow view flows frames --truth truth --occlusion occluded -o sequence.html`,
    )
    .action(async (flow: string, a: string | undefined, b: string | undefined, flags: ViewFlags) => {
      const inputs = [flow, a, b, flags.backward, flags.truth, flags.confidence, flags.occlusion]
      checkInputs(inputs)
      checkOutputs(
        [{ option: '--output', path: flags.output, kind: 'page' }],
        inputs.filter((path) => path !== undefined),
      )
      const progress = new Progress(cli.err, flags.quiet === true ? 'hidden' : 'shown')
      let failures: readonly string[]
      try {
        failures = await view([flow, a, b], flags, cli, progress)
      } finally {
        progress.end()
      }
      if (failures.length === 0) return
      printLines(cli.err, [...failures.map((line) => `error: ${line}`), `the page shows the rest`])
      throw new AnsweredNo()
    })
}

/** Writes the page; returns what could not be read. */
async function view(
  paths: readonly [string, string | undefined, string | undefined],
  flags: ViewFlags,
  cli: Cli,
  progress: Progress,
): Promise<readonly string[]> {
  progress.stage('reading')
  const inputs = await resolveInputs(paths, flags, (a, b) => computeFlow(a, b, flags, progress))
  try {
    const { data, parts, failures } = await compose({
      ...inputs,
      title: flags.title ?? inputs.title,
      generator: `dinov3-flow ${packageVersion()}`,
      scale: flags.scale,
      onStep: (done, all) => {
        if (all > 1) progress.reached(done / all)
      },
    })
    progress.stage('writing')
    const page = await writePage(data, parts)
    await writeWhole(toPath(flags.output, '--output'), page)
    if (flags.quiet !== true) {
      const shots = data.shots.length === 1 ? '' : `${count(data.shots.length, 'flow')} of `
      printLines(cli.out, [
        `wrote ${flags.output}: ${shots}${dimensions(data.size)}, ${byteCount(page.length)}; open it in a browser`,
        ...data.notes.map((note) => `note: ${note}`),
      ])
    }
    return failures
  } finally {
    inputs.frames?.close()
  }
}

async function computeFlow(
  a: Frame,
  b: Frame,
  { preset }: ViewFlags,
  progress: Progress,
): Promise<StepFields> {
  progress.stage('loading the model')
  const model = await FlowModel.load({ preset })
  try {
    progress.stage('computing the flow')
    return await model.flowMaps(a, b, { backward: true, confidence: true, occlusion: true })
  } finally {
    await model.dispose()
  }
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (text.trim() !== '' && seconds >= 0 && seconds < Infinity) return seconds
  throw new InvalidArgumentError('It must be a number of seconds from 0.')
}

function parseCount(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number of 1 or more.')
}
