import { FlowError } from '../errors.js'
import { isAbortSignal } from '../support/brands.js'

/** The error of a call that was stopped by its signal. Its `cause` is the signal's reason. */
export function abortError(signal: AbortSignal): FlowError {
  return new FlowError('ERR_ABORTED', 'the call was aborted', {
    // A polyfill's signal has no reason.
    cause: signal.reason ?? new DOMException('This operation was aborted', 'AbortError'),
  })
}

/** @throws {FlowError} `ERR_ARGUMENT` if `signal` is neither an AbortSignal nor undefined */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal !== undefined && !isAbortSignal(signal))
    throw new FlowError(
      'ERR_ARGUMENT',
      'signal: must be an AbortSignal: give the signal of an AbortController',
    )
}

/** @throws {FlowError} `ERR_ABORTED` if the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal)
}

/** The calls that wait for one signal. They share one listener, because Node warns about more than ten. */
interface Waiting {
  readonly cancels: Set<() => void>
  readonly listener: () => void
}

const waitingFor = new WeakMap<AbortSignal, Waiting>()

/** Calls `cancel` when the signal fires. The returned function undoes that. */
export function onAbort(signal: AbortSignal, cancel: () => void): () => void {
  const { cancels, listener } = waitingFor.get(signal) ?? listenTo(signal)
  cancels.add(cancel)
  return () => {
    cancels.delete(cancel)
    if (cancels.size > 0) return
    // A signal may live much longer than its calls. It must not keep them in memory.
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
 * Runs `work`, and calls `cancel` if the signal fires before `work` is done. If `work` fails with `ERR_ABORTED`, the thrown
 * error has the signal's reason as its cause.
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

/** Waits for `work`, but no longer than until the signal fires. */
export function orAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const calledOff = onAbort(signal, () => reject(abortError(signal)))
    void work.then(resolve, reject).finally(calledOff)
  })
}

/** Work that can be cancelled, and tells how far it is. */
export interface LongWork<T, P> {
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((progress: P) => void) | undefined
  cancel(): void
  /** Starts it. `tell` never throws. */
  start(tell: (progress: P) => void): Promise<T>
}

/** Runs work. It is cancelled if the signal fires or `onProgress` throws; then its error is that of the signal, or the one thrown. */
export async function runLong<T, P>({ signal, onProgress, cancel, start }: LongWork<T, P>): Promise<T> {
  let thrown: { readonly error: unknown } | undefined
  const tell = (progress: P) => {
    if (thrown !== undefined) return
    try {
      onProgress?.(progress)
    } catch (error) {
      thrown = { error }
      cancel()
    }
  }
  try {
    const result = await withSignal(signal, cancel, () => start(tell))
    // The signal may have fired, or `onProgress` thrown, too late to stop the work.
    throwIfAborted(signal)
    if (thrown !== undefined) throw thrown.error
    return result
  } catch (error) {
    throw thrown === undefined ? error : thrown.error
  }
}
