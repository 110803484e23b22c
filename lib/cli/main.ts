import { Command, CommanderError } from 'commander'
import { FlowError } from '../errors.js'
import { addBench } from './bench/command.js'
import { addBuild } from './build/command.js'
import { AnsweredNo, type Cli, EXIT, Interrupted, UsageError } from './cli.js'
import { addConvert } from './convert/command.js'
import { addDoctor } from './doctor/command.js'
import { addEval } from './eval/command.js'
import { addExport } from './export/command.js'
import { addInspect } from './inspect/command.js'
import { addMetrics } from './metrics/command.js'
import { packageVersion } from './package.js'
import { addRun } from './run/command.js'
import { addVideo } from './video/command.js'
import { addView } from './view/command.js'
import { addViz } from './viz/command.js'

/**
 * Runs one command line. Does not throw: errors are printed.
 *
 * @param argv the arguments after the program's name
 * @returns the exit code, one of {@link EXIT}
 */
export async function main(argv: readonly string[], cli: Cli): Promise<number> {
  try {
    await createProgram(cli).parseAsync(argv, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    if (error instanceof AnsweredNo) return EXIT.failed
    if (error instanceof Interrupted) return EXIT.interrupted
    cli.err.write(`${describeError(error, cli)}\n`)
    return error instanceof UsageError ? EXIT.usage : EXIT.failed
  }
}

/** The commands, their options and their help. */
export function createProgram(cli: Cli): Command {
  const program = new Command('dinov3-flow')
    .description('Dense optical flow on DINOv3 features.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => cli.out.write(text),
      writeErr: (text) => cli.err.write(text),
      getOutHelpWidth: () => cli.out.columns ?? 100,
      getErrHelpWidth: () => cli.err.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .showHelpAfterError('(add --help to see how it is used)')
    .addHelpText(
      'after',
      `
Begin with: dinov3-flow run --help

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
With DINOV3_FLOW_DEBUG=1 in the environment, errors are printed with their stack.`,
    )
  // The commands are added after the settings above, because each copies them when it is made.
  addRun(program, cli)
  addVideo(program, cli)
  addView(program, cli)
  addViz(program, cli)
  addMetrics(program, cli)
  addEval(program, cli)
  addBench(program, cli)
  addConvert(program, cli)
  addExport(program, cli)
  addInspect(program, cli)
  addDoctor(program, cli)
  addBuild(program, cli)
  return program
}

function describeError(error: unknown, { debug }: Cli): string {
  if (!(error instanceof Error)) return `error: ${String(error)}`
  if (debug) return `error: ${error.stack ?? error.message}${causeOf(error)}`
  if (error instanceof UsageError) return `error: ${error.message}`
  if (error instanceof FlowError) {
    const [first, ...further] = error.message.split('\n')
    return [`error: ${first} (${error.code})`, ...further].join('\n')
  }
  return `error: ${error.message}\nThis is a bug of dinov3-flow. With DINOV3_FLOW_DEBUG=1, its stack is printed.`
}

function causeOf({ cause }: Error): string {
  return cause instanceof Error ? `\ncaused by: ${cause.stack ?? cause.message}` : ''
}
