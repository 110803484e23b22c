import { FlowError } from './errors.js'

/** Where to compute: `cuda` is the first NVIDIA GPU that the process sees, `cuda:N` that of index N. */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`

/** The type of number that weights and activations are in. Sums, norms, softmax and the flow are always float32. */
export type Precision = 'fp32' | 'fp16' | 'bf16'

/** Whether a value is a device's name, be the device there or not. An index is written as `nvidia-smi` writes it. */
export function isDevice(value: unknown): value is Device {
  return typeof value === 'string' && /^(auto|cpu|cuda(:(0|[1-9]\d{0,2}))?)$/.test(value)
}

/** @throws {FlowError} `ERR_ARGUMENT` for what is no device's name */
export function checkDevice(device: Device): void {
  if (!isDevice(device))
    throw new FlowError(
      'ERR_ARGUMENT',
      `device: must be one of auto, cpu, cuda, cuda:N (N from 0 to 999), not ${JSON.stringify(device) ?? String(device)}`,
    )
}
