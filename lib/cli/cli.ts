/** Where text goes: `process.stdout` is one. */
export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

/** What a command may touch of its process. */
export interface Cli {
  /** Answers: what was asked for, and nothing else. */
  readonly out: Output
  /** Errors, warnings and progress. */
  readonly err: Output
  /** Errors are printed with their stack. */
  readonly debug: boolean
}

/** What the program exits with; 130, after Ctrl-C, is the shell's. */
export const EXIT = {
  /** It did what was asked. */
  ok: 0,
  /** The work failed, or its answer is no: a file that cannot be used, an engine that does not work. */
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
} as const

/** Ends the program with exit code 1 after the answer, which is no, was printed. */
export class AnsweredNo extends Error {
  override readonly name = 'AnsweredNo'
}

/** The command line makes no sense, in a way that only the command itself can know. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export function printLines(output: Output, lines: readonly string[]): void {
  output.write(lines.map((line) => `${line}\n`).join(''))
}

export function printJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value, undefined, 2)}\n`)
}
