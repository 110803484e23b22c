import { closeSync } from 'node:fs'
import { parseObject } from './json.js'
import { Malformed } from './malformed.js'
import { refusal } from './refusal.js'
import { openSource, readRange } from './source.js'

const LONGEST = 1 << 20
const DEEPEST = 10_000

/**
 * Reads a file of JSON that describes a checkpoint.
 *
 * @param take - takes what is needed from its object, and throws `Malformed` if that is of no use
 * @throws {FlowError} `ERR_IO` if the file cannot be read; `ERR_CHECKPOINT_FORMAT` if it is no such file
 */
export function readConfigFile<T>(path: string, take: (config: Record<string, unknown>) => T): T {
  const source = openSource(path)
  try {
    if (source.size > LONGEST) throw new Malformed(`is longer than ${LONGEST} bytes`)
    return take(parseObject(readRange(source, 0, source.size), 'its text', DEEPEST))
  } catch (error) {
    if (error instanceof Malformed) throw refusal('ERR_CHECKPOINT_FORMAT', path, error.message, error)
    throw error
  } finally {
    closeSync(source.fd)
  }
}
