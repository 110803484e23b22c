import { FlowError, type FlowErrorCode, messageOf } from '../errors.js'
import { codeOf } from '../support/brands.js'

/** Where a public function was called from. */
export interface CallSite {
  readonly stack?: string
}

/** Notes the stack above `entry`, the public function that was called. Cheap: it becomes text only if it is read. */
export function callSite(entry: (...args: never[]) => unknown): CallSite {
  const site: CallSite = {}
  Error.captureStackTrace(site, entry)
  return site
}

/** Runs a call of the addon; its errors become FlowErrors with the stack of `site`. */
export function callNative<T>(site: CallSite, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw toFlowError(error, site)
  }
}

/**
 * As {@link callNative}, for a call that answers later. It never throws: an error that the addon throws at once also rejects
 * the promise.
 */
export async function awaitNative<T>(site: CallSite, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw toFlowError(error, site)
  }
}

const NATIVE_CODES: readonly FlowErrorCode[] = [
  'ERR_ARGUMENT',
  'ERR_FRAME',
  'ERR_CHECKPOINT_FORMAT',
  'ERR_CHECKPOINT_TENSOR',
  'ERR_DEVICE',
  'ERR_OUT_OF_MEMORY',
  'ERR_DISPOSED',
  'ERR_ABORTED',
  'ERR_PRECISION',
  'ERR_IO',
]

/** The one place where native errors become FlowErrors. */
function toFlowError(error: unknown, site: CallSite): FlowError {
  if (error instanceof FlowError) return error
  const code = codeOf(error)
  const known = NATIVE_CODES.find((candidate) => candidate === code)
  const failure =
    known === undefined
      ? new FlowError('ERR_NATIVE', messageOf(error), { cause: error })
      : new FlowError(known, messageOf(error))
  const frames = site.stack?.split('\n').slice(1).join('\n') ?? ''
  failure.stack = `${failure.name}: ${failure.message}\n${frames}`
  return failure
}
