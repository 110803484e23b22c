import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { inspectNvidia } from '../../doctor/nvidia.js'

/** The machine of a measurement. Null is what the system does not tell. */
export interface Machine {
  readonly cpu: string
  /** Hardware threads of the machine, and those that this process may use. */
  readonly hardwareThreads: number
  readonly usableThreads: number
  /** Limit of a container, in cores; null for none. */
  readonly cpuLimit: number | null
  /** MHz of each hardware thread, at the start. */
  readonly clocks: readonly number[] | null
  /** The highest MHz that the processor is allowed. */
  readonly maxClock: number | null
  /** cpufreq's governors in use, such as `performance`. */
  readonly governor: string | null
  /** Watts, of the processor's package. */
  readonly powerLimit: number | null
  /** Average number of running tasks of the last minute, before the measurement. */
  readonly load: number
  /** Bytes. */
  readonly memory: number
  readonly system: string
  readonly node: string
  /** Version of NVIDIA's driver; null if no GPU is used. */
  readonly driver: string | null
  readonly gpu: GpuState | null
}

/** NVIDIA's GPU as nvidia-smi tells it. */
export interface GpuState {
  readonly name: string
  readonly clock: string
  readonly maxClock: string
  readonly powerLimit: string
}

const CPUFREQ = 'sys/devices/system/cpu/cpu0/cpufreq'

/** @param root the folder that holds proc and sys: another one in tests */
export function describeMachine(engine: 'cpu' | 'cuda', root = '/'): Machine {
  const read = reader(root)
  const info = cpus()
  const found = read('proc/cpuinfo') ?? ''
  const clocks = [...found.matchAll(/^cpu MHz\s*:\s*([\d.]+)/gm)].map(([, mhz]) => Math.round(Number(mhz)))
  const governors = new Set(
    info.flatMap((_, i) => read(`sys/devices/system/cpu/cpu${i}/cpufreq/scaling_governor`) ?? []),
  )
  const power = number(read('sys/class/powercap/intel-rapl:0/constraint_0_power_limit_uw'))
  const maxClock = number(read(`${CPUFREQ}/scaling_max_freq`) ?? read(`${CPUFREQ}/cpuinfo_max_freq`))
  return {
    cpu: /^model name\s*:\s*(.+)$/m.exec(found)?.[1]?.trim() ?? info[0]?.model.trim() ?? process.arch,
    hardwareThreads: info.length,
    usableThreads: availableParallelism(),
    cpuLimit: quota(read('sys/fs/cgroup/cpu.max')),
    clocks: clocks.length === 0 ? null : clocks,
    maxClock: maxClock === null ? null : maxClock / 1000,
    governor: governors.size === 0 ? null : [...governors].join(', '),
    powerLimit: power === null ? null : power / 1e6,
    load: loadavg()[0]!,
    memory: totalmem(),
    system: `${process.platform}-${process.arch}, kernel ${release()}`,
    node: process.version,
    driver: engine === 'cuda' ? inspectNvidia().driver : null,
    gpu: engine === 'cuda' ? gpuState() : null,
  }
}

/** Reads the files of a system. The reader gives null for one that is not there or is empty. */
export function reader(root: string): (path: string) => string | null {
  return (path) => {
    try {
      return readFileSync(join(root, path), 'utf8').trim() || null
    } catch {
      return null
    }
  }
}

/** A whole number of a file, or null. */
export function number(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text) ? Number(text) : null
}

/** Cores that a container may use, by cgroup 2's `max 100000` or `150000 100000`. */
function quota(text: string | null): number | null {
  const [, most, period] = /^(\d+) (\d+)$/.exec(text ?? '') ?? []
  return most === undefined ? null : Number(most) / Number(period)
}

/** The answers of nvidia-smi to a query; null where there is none. */
export function askNvidia(fields: readonly string[]): string[] | null {
  try {
    const args = [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader', '--id=0']
    const text = execFileSync('nvidia-smi', args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5000,
    })
    return text.trim().split(', ')
  } catch {
    return null // Jetson has none
  }
}

function gpuState(): GpuState | null {
  const found = askNvidia(['name', 'clocks.sm', 'clocks.max.sm', 'power.limit'])
  if (found === null) return null
  const [name = '', clock = '', maxClock = '', powerLimit = ''] = found
  return { name, clock, maxClock, powerLimit }
}
