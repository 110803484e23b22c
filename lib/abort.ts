import { FlowError } from './errors.js'

/** The error of a call that its signal stopped; the signal's reason is the cause. */
export function abortError(signal: AbortSignal): FlowError {
  return new FlowError('ERR_ABORTED', 'the call was aborted', { cause: signal.reason })
}

/** @throws {FlowError} `ERR_ARGUMENT` unless it is an AbortSignal or undefined */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new FlowError('ERR_ARGUMENT', 'signal: is an AbortSignal')
}

/** @throws {FlowError} `ERR_ABORTED` if the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal)
}

/**
 * Runs `work`, and calls `cancel` if the signal fires meanwhile. Where `work` then fails with `ERR_ABORTED`, the error says
 * what the signal says.
 */
export async function withSignal<T>(
  signal: AbortSignal | undefined,
  cancel: () => void,
  work: () => Promise<T>,
): Promise<T> {
  if (signal === undefined) return work()
  signal.addEventListener('abort', cancel, { once: true })
  try {
    return await work()
  } catch (error) {
    if (error instanceof FlowError && error.code === 'ERR_ABORTED') throw abortError(signal)
    throw error
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}
