/** Whether a value is a handle of the driver, such as a `CUstream`, as an integer: it fits 64 bits, and may be 0. */
export function isHandle(value: unknown): value is bigint {
  return typeof value === 'bigint' && value >= 0n && value < 2n ** 64n
}

/** Whether a value is an address. */
export function isAddress(value: unknown): value is bigint {
  return isHandle(value) && value !== 0n
}
