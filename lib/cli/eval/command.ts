import { rmSync } from 'node:fs'
import { Argument, type Command, Option } from 'commander'
import { writeWhole } from '../../support/write-file.js'
import { AnsweredNo, type Cli, printLines } from '../cli.js'
import { addComputationOptions, addModelOptions } from '../model-options.js'
import { parseCount, parseLimit } from '../parse.js'
import { wrapped } from '../table.js'
import { DATA_SETS, type DataSetName } from './datasets/index.js'
import { evaluateDataSet, ledgerPath } from './evaluate.js'
import type { EvalFlags } from './flags.js'
import { summarize } from './summary.js'
import { PANELS } from './worst.js'

export function addEval(program: Command, cli: Cli): void {
  const names = Object.keys(DATA_SETS) as DataSetName[]
  const command = program
    .command('eval')
    .summary('measure the flow of a data set')
    .description(
      'Measures the flow of a data set against its ground truth: per sequence and in all, the end-point error, the pixels within 1, ' +
        '3 and 5 px, Fl-all, the error by the length of the motion, and that of visible and of hidden pixels where the data set ' +
        'tells them apart.',
    )
    .addArgument(new Argument('<dataset>', 'its name').choices(names))
    .argument('<root>', 'the folder that its archives were unpacked in')
  command
    .optionsGroup('Data set:')
    .addOption(
      new Option('--pass <name>', 'sintel and things: which frames (default: clean)').choices([
        'clean',
        'final',
      ]),
    )
    .addOption(
      new Option('--split <name>', 'chairs and things: which half (default: val)').choices(['train', 'val']),
    )
    .option('--limit <n>', 'only the first pairs, so many', parseCount)
    .option(
      '--max-flow <px>',
      'leave out pixels that move this far or farther, as training does; none counts all, as benchmarks do',
      parseLimit,
      400,
    )
    .option('--exclude-invalid', "leave out the pixels of Sintel's invalid/")
    .optionsGroup('Output:')
    .option('--json <file>', 'write all figures, those of each pair as well: .json')
    .option('-o, --output <dir>', `draw the worst pairs into this folder: ${PANELS}`)
    .option('--worst <n>', 'how many of them (default: 10)', parseCount)
    .option('-q, --quiet', 'print no progress')
  addModelOptions(command)
  addComputationOptions(command)
  command
    .addHelpText(
      'after',
      `
The data sets, below <root>:
${layouts()}

A file that is missing or broken is told, and the other pairs are measured all the same; the exit
code is 1. With --json or --output, the same command given again goes on where it was ended, and
tries failed pairs again: finished ones are in <file>.finished, or in <dir>/eval.finished, until all
are done.

Examples:
  dinov3-flow eval sintel MPI-Sintel-complete --pass final
  dinov3-flow eval kitti data_scene_flow --json kitti.json --worst 20 -o worst
  dinov3-flow eval things FlyingThings3D_subset --limit 100 --preset best`,
    )
    .action(async (name: DataSetName, root: string, flags: EvalFlags) => {
      const evaluation = await evaluateDataSet(name, root, flags, cli)
      const { report } = evaluation
      if (flags.json !== undefined)
        await writeWhole(flags.json, Buffer.from(`${JSON.stringify(report, undefined, 2)}\n`))
      printLines(cli.out, summarize(evaluation, flags))
      if (report.failed.length > 0) throw new AnsweredNo()
      const ledger = ledgerPath(flags)
      if (ledger !== undefined) rmSync(ledger, { force: true })
    })
}

function layouts(): string {
  return Object.entries(DATA_SETS)
    .map(([name, { title, layout, note }]) => {
      const text = `${title}: ${layout}.${note === undefined ? '' : ` Here ${note}.`}`
      return wrapped(text, 100 - 14).map((line, i) => `  ${(i === 0 ? name : '').padEnd(12)}${line}`)
    })
    .flat()
    .join('\n')
}
