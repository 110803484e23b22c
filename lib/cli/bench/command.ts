import { type Command, Option } from 'commander'
import { READ_KINDS } from '../../image/decode.js'
import { writeWhole } from '../../support/write-file.js'
import { AnsweredNo, type Cli, Interrupted, printLines } from '../cli.js'
import { addComputationOptions, addModelOptions } from '../model-options.js'
import { checkInputs, checkOutputs, type PlannedOutput } from '../outputs.js'
import { parseCount } from '../parse.js'
import { modelFiles, pathsOf } from '../run/model-files.js'
import { checkComparable, compare, readReport } from './against.js'
import { checkContenders, runBench } from './bench.js'
import {
  type BenchFlags,
  parseAbove0,
  parseFrameSize,
  parseFrom0,
  parseRate,
  parseScenarios,
  SCENARIOS,
} from './flags.js'
import { settingsOf } from './measure.js'
import { writePage } from './page.js'
import type { BenchReport } from './report.js'
import { toMarkdown, toText } from './render.js'
import { sectionsOf } from './sections.js'
import { CONTENDER_HELP } from './targets/contender.js'

export function addBench(program: Command, cli: Cli): void {
  const command = program
    .command('bench')
    .summary('measure latency and throughput on this machine')
    .description(
      'Measures latency, throughput and memory on this machine: with the percentiles, not the mean, and alone or in turns with other ' +
        'options, OpenCV or onnxruntime.',
    )
    .argument('[first]', `a picture: ${READ_KINDS} (default: frames are made)`)
    .argument('[second]', 'the picture after it, of the same size')
  command
    .optionsGroup('Measurement:')
    .addOption(
      new Option('--scenario <names>', `${SCENARIOS.join(', ')}: some of them, separated by commas, or all`)
        .argParser(parseScenarios)
        .default(['single-stream'], 'single-stream'),
    )
    .option('--contender <what>', `${CONTENDER_HELP}. May be given several times`, collect)
    .option('--seconds <n>', 'how long each contender is measured in each scenario', parseAbove0, 10)
    .option('--frames <n>', 'measure so many frames instead, however long it takes', parseCount)
    .option('--warm-up <seconds>', 'at most so long; ends earlier if stable (see below)', parseFrom0, 10)
    .option('--streams <n>', 'multi-stream: streams of one model', parseCount, 4)
    .option('--batch <n>', 'offline: frames that are given at a time', parseCount, 16)
    .addOption(
      new Option(
        '--rate <hz>',
        'camera: frames per second, or a percentage of what can be sustained, such as 50%',
      )
        .argParser(parseRate)
        .default({ hertz: 30 }, '30'),
    )
    .option(
      '--deadline <ms>',
      'camera: a result that comes later is missed (default: the time between frames)',
      parseAbove0,
    )
    .option(
      '--frame-size <size>',
      'HEIGHTxWIDTH of the frames that are made (default: 480x640)',
      parseFrameSize,
    )
    .option('--python <file>', 'the Python of opencv, with cv2 (default: python3)')
    .optionsGroup('Output:')
    .option('--json <file>', 'write all figures and samples: .json')
    .option('--markdown <file>', 'write the tables as Markdown: .md')
    .option('--html <file>', 'write one page with tables and plots: .html')
    .option(
      '--against <file>',
      'compare with the --json of an earlier run; exit with 1 if something is slower',
    )
    .option('--tolerance <percent>', 'what may be slower all the same', parseFrom0, 3)
    .option('-q, --quiet', 'print no progress')
  addModelOptions(command)
  addComputationOptions(command)
  command
    .addHelpText(
      'after',
      `
Scenarios, by the names of MLPerf's LoadGen:
  single-stream  one frame, and the next when its flow is there: latency
  multi-stream   one frame for each of --streams streams of one model: latency of the slowest
  offline        --batch frames at once: throughput; the latency is that of the batch
  camera         frames at --rate through a stream that drops the oldest waiting frame: drops,
                 misses, age of the newest result. Latency counts from when a frame was due, so
                 that a stall counts for every frame that it holds up (coordinated omission).

Warming up ends when the medians of two successive windows of 5 queries differ by 5 % or less.
Contenders take turns, query by query (camera: every two seconds); the first is the model with the
options of this command, as a stream. The intervals of the ratios are of 95 %, by a bootstrap over
pairs of neighbouring samples.

onnxruntime is the network of this command, of its size, in onnxruntime-node on the CPU, in float32 and
with as many threads; its pictures are resized before. It has no refinement: compare --refine off.
It must be installed: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node

--against: slower is what takes more time than in the earlier run, by the median and with 97.5 %
confidence, by more than --tolerance and by more than both runs' own noise, which is how far the
median of a quarter of a run is from that of the whole; or a camera that misses more frames.

The first Ctrl-C ends the measurement and writes what was measured; nothing is compared with --against then.

Examples:
  dinov3-flow bench
  dinov3-flow bench 1.png 2.png --contender preset=fast --contender opencv --html bench.html
  dinov3-flow bench --scenario camera --rate 60 --preset fast --frame-size 240x320
  dinov3-flow bench --refine off --contender onnxruntime
  dinov3-flow bench --contender call=pair --contender backward,occlusion --seconds 30
  dinov3-flow bench --json main.json && git switch work && dinov3-flow bench --against main.json`,
    )
    .action(async (first: string | undefined, second: string | undefined, flags: BenchFlags) => {
      const pictures = [first, second].filter((path): path is string => path !== undefined)
      checkInputs(pictures)
      const inputs = [
        ...pictures,
        ...pathsOf(modelFiles(flags)),
        ...(flags.against === undefined ? [] : [flags.against]),
      ]
      checkOutputs(planned(flags), inputs)
      const contenders = checkContenders(pictures, flags)
      const earlier = flags.against === undefined ? undefined : await readReport(flags.against)
      if (earlier !== undefined) {
        const scenarios = flags.scenario.map((scenario) => ({
          scenario,
          settings: settingsOf(scenario, flags),
        }))
        const names = contenders.map(({ name }) => name)
        checkComparable(scenarios, names, earlier, flags.against!)
      }
      const report = await runBench(pictures, contenders, flags, argumentsOf(command), cli)
      const comparison =
        earlier === undefined || report.interrupted
          ? undefined
          : compare(report, earlier, flags.against!, flags.tolerance / 100)
      if (flags.json !== undefined) await writeText(flags.json, toJson({ ...report, comparison }))
      const sections = sectionsOf(report, comparison)
      if (flags.markdown !== undefined)
        await writeText(flags.markdown, toMarkdown(sections).join('\n').trimEnd())
      if (flags.html !== undefined) await writeWhole(flags.html, await writePage(report, sections))
      printLines(cli.out, toText(sections, cli.out.columns ?? 100))
      if (report.interrupted) throw new Interrupted()
      if (comparison?.changes.some(({ verdict }) => verdict === 'slower') === true) throw new AnsweredNo()
    })
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

function planned(flags: BenchFlags): PlannedOutput[] {
  const kinds = { json: 'report', markdown: 'markdown', html: 'page' } as const
  return (['json', 'markdown', 'html'] as const).flatMap((name) => {
    const path = flags[name]
    return path === undefined ? [] : [{ option: `--${name}`, path, kind: kinds[name] }]
  })
}

/** The arguments after the command's name, as they were given. */
function argumentsOf(command: Command): readonly string[] {
  const all: readonly string[] =
    (command.parent as (Command & { readonly rawArgs: readonly string[] }) | null)?.rawArgs ?? []
  return all.slice(all.indexOf(command.name()) + 1)
}

/** JSON with one line for all samples of a kind. */
function toJson(report: BenchReport): string {
  const numbers = /\[\n[\d\s.,e+-]+\]/g // no string of JSON has a line feed
  return JSON.stringify(report, undefined, 2).replaceAll(numbers, (list) => list.replaceAll(/\s+/g, ''))
}

function writeText(path: string, text: string): Promise<void> {
  return writeWhole(path, Buffer.from(`${text}\n`))
}
