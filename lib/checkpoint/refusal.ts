import { FlowError, type FlowErrorCode } from '../errors.js'
import { shortPath } from '../support/quote.js'

/** Characters of a message. */
const LONGEST_MESSAGE = 400

/** The error for a checkpoint that cannot be used: "<file>: <reason>", cut to a readable length. */
export function refusal(code: FlowErrorCode, path: string, reason: string, cause?: unknown): FlowError {
  const message = `${shortPath(path)}: ${reason}`
  const cut = message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE - 3)}...` : message
  return new FlowError(code, cut, cause === undefined ? undefined : { cause })
}
