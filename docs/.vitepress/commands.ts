import type { Command } from 'commander'
import { createProgram } from '../../lib/cli/main.js'

/** A command of the program. */
export interface CommandHelp {
  readonly name: string
  readonly summary: string
  /** The output of `--help`, at most 100 characters wide. */
  readonly help: string
}

/** All commands in the order of `dinov3-flow --help`. */
export function listCommands(): CommandHelp[] {
  return withHelp((program, helpOf) =>
    program.commands.map((command) => ({
      name: command.name(),
      summary: command.summary(),
      help: helpOf(command),
    })),
  )
}

/** The output of `dinov3-flow --help`. */
export function programHelp(): string {
  return withHelp((program, helpOf) => helpOf(program))
}

function withHelp<Result>(use: (program: Command, helpOf: (command: Command) => string) => Result): Result {
  let text = ''
  const output = { columns: 100, write: (part: string) => void (text += part) }
  const program = createProgram({ out: output, err: output, debug: false })
  return use(program, (command) => {
    text = ''
    command.outputHelp()
    return text
  })
}
