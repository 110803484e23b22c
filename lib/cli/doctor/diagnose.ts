import { createRequire } from 'node:module'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { FlowError, messageOf } from '../../errors.js'
import type { NativeModelInfo } from '../../native.js'
import { PACKAGE_ROOT, packageVersion } from '../package.js'
import { inspectNvidia, type NvidiaReport } from './nvidia.js'
import { selfTest } from './self-test.js'

/** All that a bug report needs to know: what `doctor --json` prints. */
export interface Diagnosis {
  readonly ok: boolean
  readonly version: string
  readonly node: string
  readonly platform: string
  /** `glibc 2.39`, `musl`; null where there is none, as on macOS. */
  readonly libc: string | null
  /** The addon's file; null where none was found. */
  readonly addon: string | null
  readonly cpu: {
    readonly model: string
    /** Hardware threads that the process may use. */
    readonly threads: number
  }
  /** Bytes. */
  readonly memory: { readonly total: number; readonly available: number }
  readonly engines: {
    readonly cpu:
      | { readonly works: true; readonly instructionSet: string; readonly threads: number }
      | { readonly works: false; readonly error: { readonly code: string; readonly message: string } }
    readonly cuda: { readonly works: false; readonly built: false; readonly nvidia: NvidiaReport }
  }
}

/** Looks at the system, and tries the CPU engine. */
export async function diagnose(): Promise<Diagnosis> {
  const cpu = await tryCpuEngine()
  return {
    ok: cpu.works,
    version: packageVersion(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    libc: libcName(),
    addon: addonPath(),
    cpu: { model: cpus()[0]?.model.trim() ?? process.arch, threads: availableParallelism() },
    memory: memory(),
    engines: { cpu, cuda: { works: false, built: false, nvidia: inspectNvidia() } },
  }
}

async function tryCpuEngine(): Promise<Diagnosis['engines']['cpu']> {
  try {
    const { instructionSet, threads }: NativeModelInfo = await selfTest()
    return { works: true, instructionSet, threads }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'ERR_NATIVE'
    const message = messageOf(error)
    return { works: false, error: { code: error instanceof FlowError ? error.code : code, message } }
  }
}

function addonPath(): string | null {
  const find = createRequire(import.meta.url)('node-gyp-build') as { path(root: string): string }
  try {
    return find.path(PACKAGE_ROOT)
  } catch {
    return null
  }
}

function libcName(): string | null {
  if (process.platform !== 'linux') return null
  const report = process.report.getReport() as {
    readonly header: { readonly glibcVersionRuntime?: string }
    readonly sharedObjects: readonly string[]
  }
  const glibc = report.header.glibcVersionRuntime
  if (glibc !== undefined) return `glibc ${glibc}`
  return report.sharedObjects.some((path) => path.includes('musl')) ? 'musl' : null
}

function memory(): Diagnosis['memory'] {
  // Without a container's limit it is 0, or more than there is.
  const limit = process.constrainedMemory()
  const total = limit > 0 ? Math.min(limit, totalmem()) : totalmem()
  return { total, available: Math.min(process.availableMemory(), total) }
}
