/** Wrong use of a program: it is told with a hint at --help, and the exit code is 2. */
export class UsageError extends Error {}

/**
 * Runs a program: --help, and errors as one line.
 *
 * @template {{ readonly values: { readonly help?: boolean | undefined } }} Arguments
 * @param {string} usage the text of --help
 * @param {() => Arguments} parse `parseArgs` of node:util
 * @param {(args: Arguments) => Promise<void>} main
 */
export async function program(usage, parse, main) {
  try {
    const args = parse()
    if (args.values.help) console.log(usage.trim())
    else await main(args)
  } catch (error) {
    const { code = '', message = String(error) } = /** @type {NodeJS.ErrnoException} */ (error)
    const wrongUse = error instanceof UsageError || code.startsWith('ERR_PARSE_ARGS')
    const missing = code === 'ERR_MODULE_NOT_FOUND' ? /package '([^']+)'/.exec(message)?.[1] : undefined
    if (missing) console.error(`error: this example needs ${missing}: npm install ${missing}`)
    else console.error(`error: ${message}${wrongUse ? ' (--help lists all options)' : ''}`)
    process.exit(wrongUse ? 2 : 1) // a video that was begun ends here, too
  }
}

/**
 * The number of an option.
 *
 * @param {string} name of the option
 * @param {string} text
 * @param {number} least
 * @param {number} most
 */
export function numberOf(name, text, least, most) {
  const number = Number(text)
  if (text.trim() !== '' && number >= least && number <= most) return number
  throw new UsageError(`${name}: must be a number from ${least} to ${most}, not '${text}'`)
}

/** Shows how far the work is, on a line that the next text replaces; only where someone looks on. */
export function progress(/** @type {string} */ text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

/** Prints a line of the result, in the place of the progress. */
export function say(/** @type {string} */ line) {
  progress('')
  console.log(line)
}
