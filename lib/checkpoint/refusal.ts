import { FlowError, type FlowErrorCode } from '../errors.js'

/** Characters of a message. A path may be longer: then the reason has at least this many. */
const LONGEST_MESSAGE = 400
const LEAST_REASON = 160

/** The error for a checkpoint that cannot be used: "<file>: <reason>", cut to a readable length. */
export function refusal(code: FlowErrorCode, path: string, reason: string, cause?: unknown): FlowError {
  const room = Math.max(LEAST_REASON, LONGEST_MESSAGE - path.length - 2)
  const cut = reason.length > room ? `${reason.slice(0, room - 3)}...` : reason
  return new FlowError(code, `${path}: ${cut}`, cause === undefined ? undefined : { cause })
}
