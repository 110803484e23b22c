import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Cli, Interrupted, printJson, printLines, UsageError } from '../cli.js'
import { addComputationOptions, addModelOptions } from '../model-options.js'
import { VIDEO_EXTENSIONS } from '../outputs.js'
import { parsePixels } from '../parse.js'
import { FILE_FORMATS } from './flow-files.js'
import { summarizeVideo } from './summary.js'
import { runVideo, type VideoFlags } from './video.js'

export function addVideo(program: Command, cli: Cli): void {
  const command = program
    .command('video')
    .summary('compute the flow of a video')
    .description(
      'Computes the flow from each frame of a video to the next, and writes it as a video, as files, or both.\n' +
        'Needs ffmpeg 4.3 or later, which reads and writes videos.',
    )
    .argument(
      '<in...>',
      "a video, pictures by a pattern ('frames/%04d.png', 'frames/*.png'), a camera (/dev/video0), an rtsp:// or http:// " +
        'address; - is standard input',
    )
    .optionsGroup('Output:')
    .option('-o, --output <file>', `write a video of the flow: ${VIDEO_EXTENSIONS.join(', ')}`)
    .option('--flow <folder>', 'write a file of flow per frame, named by the frame that it starts from')
    .addOption(new Option('--format <name>', 'of these files (default: flo)').choices(FILE_FORMATS))
    .option('--backward', 'also write the flow back, as <name>.backward.<ext>')
    .option(
      '--occlusion',
      'pixels that are hidden in the next frame are black in the video, and <name>.occlusion.png beside files',
    )
    .option('--json', 'print one JSON object instead of the summary')
    .option('-q, --quiet', 'print no summary and no progress')
    .optionsGroup('Look of the video (default: colours; hue is the direction, white is no motion):')
    .option('--overlay', 'colours over the frames, whose own colours are faded')
    .option('--arrows', 'arrows over the frames, longer than the motion where that is short')
    .option('--side-by-side', 'the frame at the left, the flow at the right')
    .option(
      '--scale <px>',
      'motion that gets the full colour (default: the largest so far, which fades slowly)',
      parsePixels,
    )
    .option('--clip-max <px>', 'clamp both components to this', parsePixels)
    .option('--clip-min <px>', 'show shorter motion as none', parsePixels)
    .optionsGroup('Frames:')
    .option('--start <time>', 'begin there: seconds, or HH:MM:SS.sss', parseTime)
    .option('--end <time>', 'end there', parseTime)
    .option(
      '--every <n>',
      'take every n-th frame: flow goes from one that is taken to the next',
      parseCount,
      1,
    )
    .option('--fps <n>', 'frames per second of pictures (default: 25), or to ask a camera for', parseRate)
    .option('--ffmpeg <file>', 'the ffmpeg to use (default: DINOV3_FLOW_FFMPEG, or ffmpeg on the PATH)')
  addModelOptions(command)
  addComputationOptions(command)
  command
    .addHelpText(
      'after',
      `
The first Ctrl-C ends the video after the frames that were begun: what is written is complete.
Pixels stay as they are coded: a video whose pixels are not square keeps them. Audio is left out.

Examples:
  dinov3-flow video in.mp4 -o flow.mp4
  dinov3-flow video in.mp4 -o flow.mp4 --overlay --side-by-side --start 12.5 --end 1:30
  dinov3-flow video 'frames/*.png' --flow flow/ --format npy --backward
  dinov3-flow video /dev/video0 -o flow.mkv --arrows --preset fast
  dinov3-flow video rtsp://camera/stream -o flow.mp4`,
    )
    .action(async (inputs: readonly string[], flags: VideoFlags) => {
      const [input] = inputs
      if (inputs.length > 1)
        throw new UsageError(
          `one input, not ${inputs.length}: put a pattern of pictures in quotes, such as 'frames/*.png', so that the shell leaves it as it is`,
        )
      const { report, ended, error } = await runVideo(input!, flags, cli)
      if (report !== undefined) {
        if (flags.json === true) printJson(cli.out, report)
        else if (flags.quiet !== true) printLines(cli.out, summarizeVideo(report))
      }
      if (error !== undefined) throw error
      if (ended === 'interrupted') throw new Interrupted()
    })
}

/** Seconds of `12.5`, `1:30` or `00:01:30.250`. */
function parseTime(text: string): number {
  if (!/^(?:(?:\d+:)?[0-5]?\d:[0-5]?\d|\d+)(?:\.\d+)?$/.test(text))
    throw new InvalidArgumentError('It must be seconds or HH:MM:SS, such as 12.5 or 1:30.')
  return text.split(':').reduce((seconds, part) => 60 * seconds + Number(part), 0)
}

function parseCount(text: string): number {
  const n = Number(text)
  if (/^\d{1,9}$/.test(text) && n >= 1) return n
  throw new InvalidArgumentError('It must be a whole number of 1 or more.')
}

function parseRate(text: string): number {
  const rate = Number(text)
  if (text.trim() !== '' && rate > 0 && rate <= 1000) return rate
  throw new InvalidArgumentError('It must be a number above 0, at most 1000.')
}
