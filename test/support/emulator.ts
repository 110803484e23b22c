import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Path of the emulated CUDA driver. The build of the C++ tests makes it: `npm run test:native`. */
export const EMULATOR = fileURLToPath(
  new URL('../../build/tests-host/test/emulator/libcuda_emu.so', import.meta.url),
)

/**
 * Makes this process's addon find the emulated driver, even on a machine with a GPU. Call it before the first use of the
 * addon, because the addon looks for a driver only once.
 */
export function useEmulator(): void {
  if (!existsSync(EMULATOR)) throw new Error(`${EMULATOR} is not there: build it with npm run test:native`)
  process.env['DINOV3_FLOW_CUDA_DRIVER'] = EMULATOR
}

/** Path of the emulated TensorRT. The same build makes it. */
export const TENSORRT = fileURLToPath(
  new URL('../../build/tests-host/test/tensorrt/libnvinfer_emu.so', import.meta.url),
)
