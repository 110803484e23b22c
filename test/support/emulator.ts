import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The emulated CUDA driver, which the C++ tests' build makes: `npm run test:native`. */
export const EMULATOR = fileURLToPath(
  new URL('../../build/tests-host/test/emulator/libcuda_emu.so', import.meta.url),
)

/**
 * Has this process's addon find the emulated driver, on a machine with a GPU, too. Before the first use of the addon, which
 * remembers what it found.
 */
export function useEmulator(): void {
  if (!existsSync(EMULATOR)) throw new Error(`${EMULATOR} is not there: build it with npm run test:native`)
  process.env['DINOV3_FLOW_CUDA_DRIVER'] = EMULATOR
}
