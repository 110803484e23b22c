import { readdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../errors.js'
import type { NativePlan } from '../native/contract.js'
import { makeFolder } from '../support/make-folder.js'
import { isTemporary, writeTogether } from '../support/write-file.js'
import { sha256 } from '../support/sha256.js'
import { sealed, unsealed } from './sealed.js'
import { parseTrial, type Trial } from './trial.js'

/** What an engine of TensorRT is built for. It serves nothing else. */
export interface PlanTarget {
  /** TensorRT's version, such as `10.16.1`. */
  readonly version: string
  /** Name of the GPU. */
  readonly gpu: string
  /** Such as `8.7`. */
  readonly computeCapability: string
  /** The newest version of CUDA that the driver supports, such as `13.0`. */
  readonly driver: string
}

/** Bytes of all files. The engine of a ViT-S+ has about 60 MB, that of a ViT-H+ 1.7 GB. */
const MOST_BYTES = 4 * 2 ** 30

/** The most that Node reads at once. */
const LARGEST_FILE = 2 ** 31 - 1

/** A file takes seconds to write: what is older was left by a process that was killed. */
const LEFTOVER_MS = 60 * 60 * 1000

/** The cache's warnings, for `process.on('warning')`. */
export const CACHE_WARNING = 'DINOV3_FLOW_CACHE'

/**
 * Plans of TensorRT in a folder that any number of processes share, with the trials of the plans, and a timing cache for each
 * {@link PlanTarget}. Files appear whole, and those that are damaged are removed. If the folder takes no files, a warning says so
 * once, and nothing is kept.
 */
export class PlanCache {
  readonly #folder: string | undefined
  readonly #mostBytes: number
  #warned = false

  /** @param folder - made when it is needed; undefined if there can be none */
  constructor(folder: string | undefined, mostBytes = MOST_BYTES) {
    this.#folder = folder
    this.#mostBytes = mostBytes
  }

  /** The plan of a {@link planKey}; undefined if there is none. */
  async plan(key: string): Promise<Uint8Array | undefined> {
    return this.#read(`${key}.plan`)
  }

  /** What was measured of a plan; undefined if nothing was. */
  async trial(key: string): Promise<Trial | undefined> {
    const bytes = await this.#read(`${key}.trial`)
    return bytes && parseTrial(Buffer.from(bytes).toString())
  }

  /** The timing cache of the builds so far; empty if there was none. */
  async timingCache(target: PlanTarget): Promise<Uint8Array> {
    return (await this.#read(await timingName(target))) ?? new Uint8Array()
  }

  /** Keeps what was built, in the place of what there is under this key. */
  async keep(key: string, target: PlanTarget, { plan, timingCache }: NativePlan): Promise<void> {
    await this.#remove([`${key}.trial`])
    await this.#write(`${key}.plan`, plan)
    if (timingCache.byteLength > 0) await this.#write(await timingName(target), timingCache)
  }

  async keepTrial(key: string, trial: Trial): Promise<void> {
    await this.#write(`${key}.trial`, Buffer.from(JSON.stringify(trial)))
  }

  /** Removes a plan and its trial. */
  async remove(key: string): Promise<void> {
    await this.#remove([`${key}.trial`, `${key}.plan`])
  }

  async #read(name: string): Promise<Uint8Array | undefined> {
    if (this.#folder === undefined) return undefined
    const path = join(this.#folder, name)
    try {
      // Reading a device or a pipe might never end.
      const content = (await stat(path)).isFile() ? await readFile(path) : Buffer.alloc(0)
      const payload = await unsealed(name, content)
      if (payload === undefined) await this.#remove([name])
      else await utimes(path, new Date(), new Date()).catch(() => undefined)
      return payload
    } catch {
      return undefined // missing, removed by another process, or not for this user
    }
  }

  async #write(name: string, payload: Uint8Array): Promise<void> {
    if (payload.byteLength > Math.min(this.#mostBytes, LARGEST_FILE)) return
    try {
      if (this.#folder === undefined) throw new Error('this user has no home folder')
      makeFolder(this.#folder)
      await writeTogether([{ path: join(this.#folder, name), bytes: await sealed(name, payload) }])
      await this.#tidy(this.#folder)
    } catch (cause) {
      if (this.#warned) return
      this.#warned = true
      process.emitWarning(
        `engines of TensorRT cannot be kept, and the next process builds them again: ${messageOf(cause)}. ` +
          'The variable DINOV3_FLOW_CACHE names another folder.',
        { code: CACHE_WARNING },
      )
    }
  }

  async #remove(names: readonly string[]): Promise<void> {
    const folder = this.#folder
    if (folder === undefined) return
    for (const name of names) await rm(join(folder, name), { force: true }).catch(() => undefined)
  }

  /** Removes leftovers, and then what was not used for longest until the rest fits. A plan and its trial go together. */
  async #tidy(folder: string): Promise<void> {
    const entries = new Map<string, Entry>()
    for (const name of await readdir(folder)) {
      const found = await stat(join(folder, name)).catch(() => undefined)
      if (found?.isFile() !== true) continue // another process has removed it
      if (isTemporary(name)) {
        if (Date.now() - found.mtimeMs > LEFTOVER_MS) await this.#remove([name])
        continue
      }
      const key = name.replace(/\.\w+$/, '')
      const { names, bytes, used } = entries.get(key) ?? { names: [], bytes: 0, used: 0 }
      const latest = Math.max(used, found.mtimeMs)
      entries.set(key, { names: [...names, name], bytes: bytes + found.size, used: latest })
    }
    let bytes = 0
    for (const entry of [...entries.values()].sort((a, b) => b.used - a.used)) {
      bytes += entry.bytes
      if (bytes > this.#mostBytes) await this.#remove(entry.names)
    }
  }
}

/** The files of one key. */
interface Entry {
  readonly names: readonly string[]
  readonly bytes: number
  /** When it was last written or read, in milliseconds. */
  readonly used: number
}

/** The name of the plan that TensorRT makes of an ONNX file. */
export async function planKey(target: PlanTarget, onnx: Uint8Array): Promise<string> {
  return nameOf(target, await sha256(onnx))
}

async function timingName(target: PlanTarget): Promise<string> {
  return `${await nameOf(target)}.timing`
}

async function nameOf(target: PlanTarget, network: Buffer = Buffer.alloc(0)): Promise<string> {
  const { version, gpu, computeCapability, driver } = target
  const text = JSON.stringify([version, gpu, computeCapability, driver, network.toString('hex')])
  return (await sha256(Buffer.from(text))).toString('hex')
}
