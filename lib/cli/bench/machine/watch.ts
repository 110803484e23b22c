import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { askNvidia, number, reader } from './machine.js'

/** What happened to the machine during a scenario. Null is what the system does not tell. */
export interface Observed {
  /** Times that a processor was slowed down because it was too hot. */
  readonly thermalThrottles: number | null
  /** Times, and milliseconds, that a container's limit stopped this process. */
  readonly quotaThrottles: number | null
  readonly quotaMilliseconds: number | null
  /** Share of the machine's processor time that its host gave to others, 0 to 1. */
  readonly stolen: number | null
  /** Share of the machine's processor time that other processes took, 0 to 1. */
  readonly others: number | null
  /** The lowest and highest MHz of a hardware thread that were seen. */
  readonly clocks: readonly [lowest: number, highest: number] | null
  /** Highest temperature seen, in °C. */
  readonly temperature: number | null
  /** NVIDIA's reasons for a lower clock at the end, as a bit mask; 0x0 is none. */
  readonly gpuThrottle: string | null
  /** Bytes of this process: the most while it ran, and at the end. */
  readonly rssPeak: number
  readonly rss: number
  /** Milliseconds between turns of the event loop, a timer of 1 ms included. */
  readonly eventLoop: {
    readonly p50: number
    readonly p99: number
    readonly p999: number
    readonly max: number
  }
}

const INTERVAL_MS = 500
/** Linux counts processor time in hundredths of a second, whatever its own clock. */
const TICKS_PER_MS = 0.1

/** Watches the machine from its making until `end`. */
export class Watch {
  readonly #read: (path: string) => string | null
  readonly #root: string
  readonly #engine: 'cpu' | 'cuda'
  readonly #before: Counters
  readonly #timer: NodeJS.Timeout
  readonly #loop: IntervalHistogram = monitorEventLoopDelay({ resolution: 1 })
  #rssPeak = 0
  #clocks: [number, number] = [Infinity, 0]
  #temperature = -Infinity

  /** @param root the folder that holds proc and sys: another one in tests */
  constructor(engine: 'cpu' | 'cuda', root = '/') {
    this.#engine = engine
    this.#root = root
    this.#read = reader(root)
    this.#before = this.#counters()
    this.#loop.enable()
    this.#look()
    this.#timer = setInterval(() => this.#look(), INTERVAL_MS)
    this.#timer.unref()
  }

  end(): Observed {
    clearInterval(this.#timer)
    this.#loop.disable()
    this.#look()
    const [before, after] = [this.#before, this.#counters()]
    const grown = (key: keyof Counters) =>
      before[key] === null || after[key] === null ? null : after[key] - before[key]
    const [all, stolen, busy, own] = [grown('all'), grown('stolen'), grown('busy'), grown('own')!]
    const quota = grown('quotaMicroseconds')
    const [lowest, highest] = this.#clocks
    const loop = (percent: number) => (this.#loop.count === 0 ? 0 : this.#loop.percentile(percent) / 1e6)
    return {
      thermalThrottles: grown('thermal'),
      quotaThrottles: grown('quota'),
      quotaMilliseconds: quota === null ? null : quota / 1000,
      stolen: all === null || stolen === null || all === 0 ? null : stolen / all,
      others:
        all === null || busy === null || all === 0 ? null : Math.max(0, (busy - own * TICKS_PER_MS) / all),
      clocks: highest === 0 ? null : [lowest, highest],
      temperature: this.#temperature === -Infinity ? null : this.#temperature,
      gpuThrottle:
        this.#engine === 'cuda' ? (askNvidia(['clocks_throttle_reasons.active'])?.[0] ?? null) : null,
      rssPeak: this.#rssPeak,
      rss: process.memoryUsage.rss(),
      eventLoop: {
        p50: loop(50),
        p99: loop(99),
        p999: loop(99.9),
        max: this.#loop.count === 0 ? 0 : this.#loop.max / 1e6,
      },
    }
  }

  #look(): void {
    this.#rssPeak = Math.max(this.#rssPeak, process.memoryUsage.rss())
    for (const [, mhz] of (this.#read('proc/cpuinfo') ?? '').matchAll(/^cpu MHz\s*:\s*([\d.]+)/gm))
      this.#clocks = [Math.min(this.#clocks[0], Number(mhz)), Math.max(this.#clocks[1], Number(mhz))]
    for (const zone of this.#folders('sys/class/thermal', /^thermal_zone\d+$/)) {
      const milli = number(this.#read(`sys/class/thermal/${zone}/temp`))
      if (milli !== null) this.#temperature = Math.max(this.#temperature, milli / 1000)
    }
  }

  #counters(): Counters {
    const stat = /^cpu +(.+)$/m
      .exec(this.#read('proc/stat') ?? '')?.[1]
      ?.split(' ')
      .map(Number)
    const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0] = stat ?? []
    const busy = user + nice + system + irq + soft
    const { user: ownUser, system: ownSystem } = process.cpuUsage()
    const group = this.#read('sys/fs/cgroup/cpu.stat') ?? ''
    const throttles = this.#folders('sys/devices/system/cpu', /^cpu\d+$/).flatMap(
      (cpu) => number(this.#read(`sys/devices/system/cpu/${cpu}/thermal_throttle/core_throttle_count`)) ?? [],
    )
    return {
      thermal: throttles.length === 0 ? null : throttles.reduce((a, b) => a + b),
      quota: number(/^nr_throttled (\d+)$/m.exec(group)?.[1] ?? null),
      quotaMicroseconds: number(/^throttled_usec (\d+)$/m.exec(group)?.[1] ?? null),
      all: stat === undefined ? null : busy + idle + wait + steal,
      busy: stat === undefined ? null : busy,
      stolen: stat === undefined ? null : steal,
      own: (ownUser + ownSystem) / 1000,
    }
  }

  #folders(path: string, name: RegExp): string[] {
    try {
      return readdirSync(join(this.#root, path)).filter((each) => name.test(each))
    } catch {
      return []
    }
  }
}

interface Counters {
  readonly thermal: number | null
  readonly quota: number | null
  readonly quotaMicroseconds: number | null
  /** Ticks of the whole machine. */
  readonly all: number | null
  readonly busy: number | null
  readonly stolen: number | null
  /** Milliseconds of this process. */
  readonly own: number
}
