import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import type { FlowSums } from '../../metrics.js'
import { codeOf } from '../../support/brands.js'
import { ioError } from '../../support/io-error.js'
import { shortPath } from '../../support/quote.js'
import { writeWhole } from '../../support/write-file.js'
import { UsageError } from '../cli.js'

interface Line {
  readonly pair: string
  readonly sums: FlowSums
}

/**
 * The pairs that are finished, in a file: a line that says what is measured, and one for each pair. It is written pair by pair, so
 * that nothing is lost when the program ends early.
 */
export class Ledger {
  readonly #path: string
  readonly #file: number
  /** The sums of the pairs that were finished before. */
  readonly finished: ReadonlyMap<string, FlowSums>

  private constructor(path: string, file: number, finished: ReadonlyMap<string, FlowSums>) {
    this.#path = path
    this.#file = file
    this.finished = finished
  }

  /**
   * @param header what is measured and how: JSON. Pairs of another one do not count.
   * @throws {UsageError} if the file is of something else; @throws {FlowError} `ERR_IO`
   */
  static async open(path: string, header: object): Promise<Ledger> {
    const head = JSON.stringify(header)
    const [before, ...rest] = readLines(path)
    if (before !== undefined && before !== head) {
      throw new UsageError(
        `${shortPath(path)} has the finished pairs of another evaluation${difference(before, head)}: remove it, or name another output`,
      )
    }
    const lines = rest.flatMap(parsed)
    // The last line may be cut off where the program was ended. It is written again without.
    await writeWhole(path, Buffer.from([head, ...lines.map((line) => JSON.stringify(line)), ''].join('\n')))
    try {
      return new Ledger(path, openSync(path, 'a'), new Map(lines.map(({ pair, sums }) => [pair, sums])))
    } catch (cause) {
      throw ioError(path, 'written', cause)
    }
  }

  /** @throws {FlowError} `ERR_IO` */
  add(pair: string, sums: FlowSums): void {
    try {
      writeSync(this.#file, `${JSON.stringify({ pair, sums } satisfies Line)}\n`)
    } catch (cause) {
      throw ioError(this.#path, 'written', cause)
    }
  }

  close(): void {
    closeSync(this.#file)
  }
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(0, -1)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw ioError(path, 'read', error)
  }
}

function parsed(line: string): Line[] {
  try {
    return [JSON.parse(line) as Line]
  } catch {
    return []
  }
}

/** Which parts of two headers differ. */
function difference(before: string, now: string): string {
  try {
    const [a, b] = [JSON.parse(before) as Record<string, unknown>, JSON.parse(now) as Record<string, unknown>]
    const keys = Object.keys({ ...a, ...b }).filter(
      (key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]),
    )
    return keys.length === 0 ? '' : ` (another ${keys.join(', ')})`
  } catch {
    return ''
  }
}
