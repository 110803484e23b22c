import { createRequire } from 'node:module'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { FlowError, messageOf } from '../../errors.js'
import { describeGpu, type GpuInfo } from '../../load.js'
import { loadAddon } from '../../native/addon.js'
import type { NativeTensorRT } from '../../native/contract.js'
import { codeOf } from '../../support/brands.js'
import { PACKAGE_ROOT, packageVersion } from '../package.js'
import { inspectNvidia, type NvidiaReport } from './nvidia.js'
import { selfTest } from './self-test.js'
import { testTensorRT, type TensorRTTest } from './tensorrt.js'

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
    /** On the first GPU, for the backbone alone. */
    readonly tensorrt: EngineDiagnosis<TensorRTTest> & {
      /** Such as `10.16.1`; null if there is none that can be used. */
      readonly version: string | null
      /** The file; null if there is none that can be used. */
      readonly library: string | null
    }
  }
}

/** Whether an engine works. If it does, its description; if not, the error. */
export type EngineDiagnosis<Works> =
  | ({ readonly works: true } & Works)
  | { readonly works: false; readonly error: { readonly code: string; readonly message: string } }

/** Looks at the system, and tries all engines. */
export async function diagnose(): Promise<Diagnosis> {
  const cpu = await attempt(async () => {
    const { instructionSet = '', threads = 0 } = (await selfTest('cpu')).info
    return { instructionSet, threads }
  })
  let tensorRT: NativeTensorRT = { reason: 'TensorRT: it needs the CUDA engine' }
  const cuda = await attempt(async () => {
    const { info, tensorRT: found } = await selfTest('cuda')
    if (info.gpu === undefined) throw new FlowError('ERR_NATIVE', 'the CUDA engine names no GPU')
    tensorRT = found
    return { device: info.gpu.name, gpu: describeGpu(info.gpu) }
  })
  const { version = null, library = null, reason } = tensorRT
  const tensorrt = await attempt(async () => {
    if (reason !== undefined) throw new FlowError('ERR_DEVICE', reason)
    return testTensorRT()
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
    engines: {
      cpu,
      cuda: { ...cuda, kernels: builtKernels(), nvidia: inspectNvidia() },
      tensorrt: { ...tensorrt, version, library },
    },
  }
}

async function attempt<Works>(test: () => Promise<Works>): Promise<EngineDiagnosis<Works>> {
  try {
    return { works: true, ...(await test()) }
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
