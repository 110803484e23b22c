import { FlowError } from './errors.js'
import { inJson } from './support/quote.js'

/** Where to compute: `cuda` is the first NVIDIA GPU that the process sees, `cuda:N` is the GPU of index N. */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`

/** Number type of weights and activations. Sums, norms, softmax and the flow are always float32. */
export type Precision = 'fp32' | 'fp16' | 'bf16'

/**
 * How the model's thread waits for a GPU. `'spin'` polls: the lowest latency, and one core is busy while the GPU computes. `'block'`
 * sleeps: the core is free meanwhile, and each frame takes longer by the time to wake the thread.
 */
export type Wait = 'spin' | 'block'

/** What `wait` may be. */
export const WAITS = ['auto', 'spin', 'block'] as const

/** Whether a value is the name of a device. The device need not exist. An index has no leading zeros, as in `nvidia-smi`. */
export function isDevice(value: unknown): value is Device {
  return typeof value === 'string' && /^(auto|cpu|cuda(:(0|[1-9]\d{0,2}))?)$/.test(value)
}

/** @throws {FlowError} `ERR_ARGUMENT` if `device` is not the name of a device */
export function checkDevice(device: Device): void {
  if (!isDevice(device))
    throw new FlowError(
      'ERR_ARGUMENT',
      `device: must be one of auto, cpu, cuda, cuda:N (N from 0 to 999), not ${inJson(device)}`,
    )
}
