import { createRequire } from 'node:module'
import { availableParallelism, cpus, totalmem } from 'node:os'
import type { Device } from '../../device.js'
import { FlowError, messageOf } from '../../errors.js'
import { describeGpu, type GpuInfo } from '../../load.js'
import { loadAddon } from '../../native/addon.js'
import type { NativeModelInfo } from '../../native/contract.js'
import { codeOf } from '../../support/brands.js'
import { PACKAGE_ROOT, packageVersion } from '../package.js'
import { inspectNvidia, type NvidiaReport } from './nvidia.js'
import { selfTest } from './self-test.js'

/** Everything that a bug report needs. `doctor --json` prints it. */
export interface Diagnosis {
  readonly ok: boolean
  readonly version: string
  readonly node: string
  readonly platform: string
  /** Such as `glibc 2.39` or `musl`; null if there is none, as on macOS. */
  readonly libc: string | null
  /** The addon's file; null if none was found. */
  readonly addon: string | null
  readonly cpu: {
    readonly model: string
    /** Hardware threads that the process may use. */
    readonly threads: number
  }
  /** Bytes. */
  readonly memory: { readonly total: number; readonly available: number }
  readonly engines: {
    readonly cpu: EngineDiagnosis<{ readonly instructionSet: string; readonly threads: number }>
    /** The engine on the first GPU. */
    readonly cuda: EngineDiagnosis<{ readonly device: string; readonly gpu: GpuInfo }> & {
      /** Architectures that this build has kernels for, such as `sm_90a compute_120`; empty if it has none. */
      readonly kernels: string
      readonly nvidia: NvidiaReport
    }
  }
}

/** Whether an engine works. If it does, its description; if not, the error. */
export type EngineDiagnosis<Works> =
  | ({ readonly works: true } & Works)
  | { readonly works: false; readonly error: { readonly code: string; readonly message: string } }

/** Looks at the system, and tries both engines. */
export async function diagnose(): Promise<Diagnosis> {
  const cpu = await tryEngine('cpu', ({ instructionSet = '', threads = 0 }) => ({ instructionSet, threads }))
  const cuda = await tryEngine('cuda', ({ gpu }) => {
    if (gpu === undefined) throw new FlowError('ERR_NATIVE', 'the CUDA engine names no GPU')
    return { device: gpu.name, gpu: describeGpu(gpu) }
  })
  return {
    ok: cpu.works,
    version: packageVersion(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    libc: libcName(),
    addon: addonPath(),
    cpu: { model: cpus()[0]?.model.trim() ?? process.arch, threads: availableParallelism() },
    memory: memory(),
    engines: { cpu, cuda: { ...cuda, kernels: builtKernels(), nvidia: inspectNvidia() } },
  }
}

async function tryEngine<Works>(
  device: Device,
  tell: (info: NativeModelInfo) => Works,
): Promise<EngineDiagnosis<Works>> {
  try {
    return { works: true, ...tell(await selfTest(device)) }
  } catch (error) {
    const code = String(codeOf(error) ?? 'ERR_NATIVE')
    return { works: false, error: { code, message: messageOf(error) } }
  }
}

function builtKernels(): string {
  try {
    return loadAddon().cudaKernels
  } catch {
    return '' // without an addon there are no kernels; the CPU engine's error says why
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
  // Without a container's limit it is 0, or more than the machine's memory.
  const limit = process.constrainedMemory()
  const total = limit > 0 ? Math.min(limit, totalmem()) : totalmem()
  return { total, available: Math.min(process.availableMemory(), total) }
}
