import { Worker } from 'node:worker_threads'
import {
  type Hdf5Array,
  readDataset,
  type ReadRequest,
  writeDataset,
  type WriteRequest,
} from './hdf5-tasks.js'

/** For a file so damaged that the library never returns: no honest one takes a tenth of this. */
const TIME_LIMIT_MS = 60_000

// Text, because there is no file that both Node and vitest, which runs these sources uncompiled, could start a worker from.
// What is transferred instead of copied is every typed array of the answer.
const BOOTSTRAP = `async (task) => {
  const { parentPort, workerData } = await import('node:worker_threads')
  try {
    const h5 = await import(workerData.library)
    await h5.ready
    h5.Module.activate_throwing_error_handler()
    const value = task(h5, workerData.request)
    const arrays = Object.values(value).filter(ArrayBuffer.isView)
    parentPort.postMessage({ value }, arrays.map((array) => array.buffer))
  } catch (error) {
    parentPort.postMessage({ reason: String(error?.message ?? error) })
  }
}`

type Answer<Value> = { readonly value: Value } | { readonly reason: string }

/**
 * Reads a dataset from the bytes of an HDF5 file.
 *
 * @throws {Error} whose message is the reason, for every file that cannot be read.
 */
export function readHdf5(
  request: Omit<ReadRequest, 'bytes'> & { readonly bytes: Uint8Array },
  timeLimitMs = TIME_LIMIT_MS,
): Promise<Hdf5Array> {
  // Copied because the worker takes it away from this thread, and the caller's may be a part of something larger.
  const bytes = new Uint8Array(request.bytes)
  return inWorker<Hdf5Array>(readDataset, { ...request, bytes }, bytes.buffer, timeLimitMs)
}

/**
 * Writes an HDF5 file of one dataset.
 *
 * @param request its `values` are taken away: they have no length afterwards.
 */
export async function writeHdf5(request: WriteRequest): Promise<Uint8Array> {
  const { values } = request
  const written = await inWorker<{ bytes: Uint8Array }>(writeDataset, request, values.buffer, TIME_LIMIT_MS)
  return written.bytes
}

/**
 * Runs the HDF5 library in a worker of its own. After some damaged files the library fails for every later file, or never
 * returns; here it ends with the one file that did it.
 */
async function inWorker<Value>(
  task: typeof readDataset | typeof writeDataset,
  request: ReadRequest | WriteRequest,
  transferred: ArrayBuffer,
  timeLimitMs: number,
): Promise<Value> {
  const worker = new Worker(`(${BOOTSTRAP})(${task})`, {
    eval: true,
    // The library is resolved here: from a worker without a file it would be looked for in the working directory.
    workerData: { request, library: import.meta.resolve('h5wasm') },
    transferList: [transferred],
    // Flags such as --import or --input-type are meant for the program, not for this.
    execArgv: [],
    // What the library prints stays in these streams, which nobody reads.
    stdout: true,
    stderr: true,
  })
  try {
    const answer = await answerOf<Value>(worker, timeLimitMs)
    if ('reason' in answer) throw new Error(readable(answer.reason))
    return answer.value
  } finally {
    await worker.terminate()
  }
}

function answerOf<Value>(worker: Worker, timeLimitMs: number): Promise<Answer<Value>> {
  return new Promise((resolve, reject) => {
    const late = (): void => reject(new Error(`the HDF5 library did not answer within ${timeLimitMs} ms`))
    const timer = setTimeout(late, timeLimitMs)
    worker.once('message', resolve)
    worker.on('error', reject)
    worker.once('exit', (code) => {
      clearTimeout(timer)
      reject(new Error(`the HDF5 library ended with exit code ${code}`))
    })
  })
}

/**
 * The innermost line of an HDF5 error stack, without its place in the library's sources; any other message as it is. The
 * search for plugins (H5PL) is left out: it only tells where the plugin of an unknown filter is not.
 */
function readable(reason: string): string {
  const calls = [...reason.matchAll(/^ *#\d+: .* in (?!H5PL)\w+\(\): (.+)$/gm)]
  return calls.at(-1)?.[1] ?? reason
}
