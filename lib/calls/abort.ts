import { FlowError } from '../errors.js'

/** The error of a call that its signal stopped; the signal's reason is the cause. */
export function abortError(signal: AbortSignal): FlowError {
  return new FlowError('ERR_ABORTED', 'the call was aborted', { cause: signal.reason })
}

/** @throws {FlowError} `ERR_ARGUMENT` unless it is an AbortSignal or undefined */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw new FlowError('ERR_ARGUMENT', 'signal: must be an AbortSignal')
}

/** @throws {FlowError} `ERR_ABORTED` if the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal)
}

/** What waits for a signal. One listener serves all of it: of more than ten Node warns. */
interface Waiting {
  readonly cancels: Set<() => void>
  readonly listener: () => void
}

const waitingFor = new WeakMap<AbortSignal, Waiting>()

/** Calls `cancel` when the signal fires, unless what is returned was called before. */
function onAbort(signal: AbortSignal, cancel: () => void): () => void {
  const { cancels, listener } = waitingFor.get(signal) ?? listenTo(signal)
  cancels.add(cancel)
  return () => {
    cancels.delete(cancel)
    if (cancels.size > 0) return
    // A signal may outlive its calls by far, and must not keep anything of them.
    signal.removeEventListener('abort', listener)
    waitingFor.delete(signal)
  }
}

function listenTo(signal: AbortSignal): Waiting {
  const cancels = new Set<() => void>()
  const waiting: Waiting = {
    cancels,
    listener: () => {
      for (const cancel of cancels) cancel()
    },
  }
  waitingFor.set(signal, waiting)
  signal.addEventListener('abort', waiting.listener, { once: true })
  return waiting
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
  const calledOff = onAbort(signal, cancel)
  try {
    return await work()
  } catch (error) {
    if (error instanceof FlowError && error.code === 'ERR_ABORTED') throw abortError(signal)
    throw error
  } finally {
    calledOff()
  }
}
