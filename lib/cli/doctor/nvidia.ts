import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../errors.js'

/** NVIDIA's driver and GPUs on this system, as far as they can be found without using them. */
export interface NvidiaReport {
  /** Whether the dynamic loader finds the driver's library, `libcuda.so.1`. */
  readonly libcuda: boolean
  /** The loader's message if it does not find the library, else null. */
  readonly reason: string | null
  /** Version of the kernel module; null if the module is not loaded, or does not give a version. */
  readonly driver: string | null
  /** Names of the GPUs that the kernel module drives. */
  readonly gpus: readonly string[]
}

const PROC = '/proc/driver/nvidia'

export function inspectNvidia(): NvidiaReport {
  const reason = whyNotLoadable('libcuda.so.1')
  return { libcuda: reason === null, reason, driver: driverVersion(), gpus: gpuNames() }
}

/**
 * Asks the dynamic loader itself, because only the loader knows all the places where it looks.
 *
 * @returns the loader's message; null if the library can be loaded
 */
export function whyNotLoadable(library: string): string | null {
  try {
    process.dlopen({ exports: {} }, library)
    return null
  } catch (error) {
    const message = messageOf(error)
    // Node's message for a library that was loaded but is not an addon.
    return message.includes('did not self-register') ? null : message
  }
}

function driverVersion(): string | null {
  try {
    return /\s(\d+\.\d+(?:\.\d+)?)\s/.exec(readFileSync(join(PROC, 'version'), 'utf8'))?.[1] ?? null
  } catch {
    return null
  }
}

function gpuNames(): string[] {
  try {
    return readdirSync(join(PROC, 'gpus')).flatMap((gpu) => {
      const text = readFileSync(join(PROC, 'gpus', gpu, 'information'), 'utf8')
      return /^Model:\s*(.+)$/m.exec(text)?.[1] ?? []
    })
  } catch {
    return []
  }
}
