/** A stream for text, such as `process.stdout`. */
export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

/** The parts of the process that a command may use. */
export interface Cli {
  /** The answer that was asked for, and nothing else. */
  readonly out: Output
  /** Errors, warnings and progress. */
  readonly err: Output
  /** Whether errors are printed with their stack. */
  readonly debug: boolean
  /** Sets the action of the first Ctrl-C, for a command that has something to finish. Without one it ends the process. */
  readonly onInterrupt?: (action: () => void) => void
}

/** Exit codes of the program. */
export const EXIT = {
  /** The command succeeded. */
  ok: 0,
  /** The work failed, or the answer is no: a file that cannot be used, or an engine that does not work. */
  failed: 1,
  /** The command line is invalid. */
  usage: 2,
  /** Ctrl-C was pressed, and the command has finished what it had begun. */
  interrupted: 130,
} as const

/** Ends the program with exit code 1. The command has already printed its answer, which is no. */
export class AnsweredNo extends Error {
  override readonly name = 'AnsweredNo'
}

/** Ends the program as Ctrl-C does. The command has already printed its answer. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/** The command line is invalid in a way that only the command itself can detect. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export function printLines(output: Output, lines: readonly string[]): void {
  output.write(lines.map((line) => `${line}\n`).join(''))
}

export function printJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value, undefined, 2)}\n`)
}
