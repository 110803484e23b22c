import { FlowError } from './errors.js'

/** Where to compute: `cuda` is the first NVIDIA GPU that the process sees, `cuda:N` that of index N. */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`

/** Whether a value is a device's name, be the device there or not. An index is written as `nvidia-smi` writes it. */
export function isDevice(value: unknown): value is Device {
  return typeof value === 'string' && /^(auto|cpu|cuda(:(0|[1-9]\d{0,2}))?)$/.test(value)
}

/** @throws {FlowError} `ERR_ARGUMENT` for what is no device's name, `ERR_DEVICE` for a device that is not there */
export function checkDevice(device: Device): void {
  if (!isDevice(device))
    throw new FlowError(
      'ERR_ARGUMENT',
      `device: is one of auto, cpu, cuda, cuda:N (N from 0 to 999), not ${JSON.stringify(device) ?? String(device)}`,
    )
  if (device.startsWith('cuda'))
    throw new FlowError('ERR_DEVICE', "device: this build has no CUDA engine yet; use 'cpu' or 'auto'")
}
