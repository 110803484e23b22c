import { Worker } from 'node:worker_threads'
import { FlowError, messageOf } from '../errors.js'
import {
  type Hdf5Array,
  readDataset,
  type ReadRequest,
  writeDataset,
  type WriteRequest,
} from './hdf5-tasks.js'

/** Some damaged files make the library run forever. No valid file takes a tenth of this time. */
const TIME_LIMIT_MS = 60_000

// The worker starts from text, not from a file: vitest runs these sources uncompiled, so no file would suit both Node and
// vitest. Every typed array of the answer is transferred, not copied.
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
 * @throws {FlowError} `ERR_NATIVE` if there is no HDF5 library; the message says how to get it
 * @throws {Error} if the file cannot be read; the message is the reason.
 */
export function readHdf5(
  request: Omit<ReadRequest, 'bytes'> & { readonly bytes: Uint8Array },
  timeLimitMs = TIME_LIMIT_MS,
): Promise<Hdf5Array> {
  // A copy, because its buffer is transferred to the worker. The caller's bytes may be a part of a larger buffer.
  const bytes = new Uint8Array(request.bytes)
  return inWorker<Hdf5Array>(readDataset, { ...request, bytes }, bytes.buffer, timeLimitMs)
}

/**
 * Writes an HDF5 file of one dataset.
 *
 * @param request its `values` are transferred to a worker: their length is 0 afterwards.
 */
export async function writeHdf5(request: WriteRequest): Promise<Uint8Array> {
  const { values } = request
  const written = await inWorker<{ bytes: Uint8Array }>(writeDataset, request, values.buffer, TIME_LIMIT_MS)
  return written.bytes
}

/**
 * Runs the HDF5 library in a new worker for each file. After some damaged files a running library fails for every later file,
 * or never returns.
 */
async function inWorker<Value>(
  task: typeof readDataset | typeof writeDataset,
  request: ReadRequest | WriteRequest,
  transferred: ArrayBuffer,
  timeLimitMs: number,
): Promise<Value> {
  const worker = new Worker(`(${BOOTSTRAP})(${task})`, {
    eval: true,
    // The library's path is resolved here: a worker without a file would look for it in the working directory.
    workerData: { request, library: libraryUrl() },
    transferList: [transferred],
    // Flags such as --import or --input-type are meant for the main program, not for this worker.
    execArgv: [],
    // The library prints to these streams, and nobody reads them.
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

/** A function, so that webpack does not ask for a library that need not be there. */
const resolve = (library: string) => import.meta.resolve(library)

/** The library is an optional peer of this package. */
function libraryUrl(): string {
  try {
    return resolve('h5wasm')
  } catch (cause) {
    throw new FlowError(
      'ERR_NATIVE',
      `h5wasm, which reads and writes .flo5, could not be found: ${messageOf(cause)}\nInstall it: npm install h5wasm`,
      { cause },
    )
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
 * The innermost message of an HDF5 error stack, without its place in the library's sources. Any other message is returned
 * unchanged. The search for the plugin of an unknown filter (H5PL) is left out: it only lists where the plugin is not.
 */
function readable(reason: string): string {
  const calls = [...reason.matchAll(/^ *#\d+: .* in (?!H5PL)\w+\(\): (.+)$/gm)]
  return calls.at(-1)?.[1] ?? reason
}
