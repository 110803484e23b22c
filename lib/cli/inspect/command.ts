import type { Command } from 'commander'
import { type Inspection, inspectCheckpoint } from '../../checkpoint/inspect.js'
import { FlowError } from '../../errors.js'
import { AnsweredNo, type Cli, printJson, printLines } from '../cli.js'
import { describeInspection, isUsable } from './describe-inspection.js'

interface InspectFlags {
  readonly json?: true
  readonly tensors?: true
  readonly backboneConfig?: string
  readonly prefix?: string
}

/** The result for one file. */
type Outcome =
  | ({ readonly usable: boolean } & Inspection)
  | { readonly path: string; readonly usable: false; readonly error: { code: string; message: string } }

export function addInspect(program: Command, cli: Cli): void {
  program
    .command('inspect')
    .summary('describe a checkpoint, and whether it can be used')
    .description(
      'Describes checkpoints: architecture, tensors, missing tensors. Nothing in them is executed.\n' +
        'Exits with 1 if one of them is not a usable backbone or head.\n\n' +
        'Names may have any prefix. Of several models the one with the most weights is\n' +
        'taken, and among equals an average (EMA, SWA), the model itself, a teacher, a\n' +
        'student, in this order.',
    )
    .argument(
      '<file...>',
      ".pth, .pt, .ckpt, .bin or .safetensors, the shards' index.json, or a folder with one of them",
    )
    .option('--tensors', 'list every tensor')
    .option('--backbone-config <file>', "Hugging Face's config.json, if it is not beside the file")
    .option(
      '--prefix <prefix>',
      'describe the models whose names begin with this, as --backbone-prefix takes it',
    )
    .option('--json', 'print an array of JSON objects, one per file')
    .addHelpText(
      'after',
      `
Examples:
  dinov3-flow inspect dinov3_vits16plus.pth model.pth
  dinov3-flow inspect model.pth --tensors
  dinov3-flow inspect training.ckpt --prefix student.`,
    )
    .action((paths: readonly string[], flags: InspectFlags) => {
      const outcomes = paths.map((path) => inspect(path, flags))
      if (flags.json === true) printJson(cli.out, outcomes)
      else outcomes.forEach((outcome, i) => print(outcome, i, flags, cli))
      if (!outcomes.every(({ usable }) => usable)) throw new AnsweredNo()
    })
}

function inspect(path: string, { backboneConfig, prefix }: InspectFlags): Outcome {
  try {
    const found = inspectCheckpoint(path, { backboneConfig, prefix })
    return { usable: isUsable(found), ...found }
  } catch (error) {
    if (!(error instanceof FlowError)) throw error
    return { path, usable: false, error: { code: error.code, message: error.message } }
  }
}

function print(outcome: Outcome, index: number, { tensors }: InspectFlags, cli: Cli): void {
  if ('error' in outcome) {
    printLines(cli.err, [`error: ${outcome.error.message} (${outcome.error.code})`])
    return
  }
  if (index > 0) cli.out.write('\n')
  printLines(cli.out, describeInspection(outcome, tensors === true ? 'all' : 'few'))
}
