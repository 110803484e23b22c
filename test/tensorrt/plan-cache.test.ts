import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { isTemporary } from '../../lib/support/write-file.js'
import { cacheFolder } from '../../lib/tensorrt/cache-folder.js'
import { CACHE_WARNING, PlanCache, planKey, type PlanTarget } from '../../lib/tensorrt/plan-cache.js'
import { withFolder } from '../support/fixtures.js'
import { skipIf } from '../support/skip.js'
import { warningsOf } from '../support/warnings.js'

const TARGET: PlanTarget = { version: '10.16.1', gpu: 'Orin', computeCapability: '8.7', driver: '13.0' }
const TRIAL = { cosines: [0.99998, 0.9999], milliseconds: { kernels: 3.5, tensorrt: 2.5 } }
const SCRIPT = fileURLToPath(new URL('../support/keep-plans.mjs', import.meta.url))
const built = (bytes: number, value = 7) => ({
  plan: new Uint8Array(bytes).fill(value),
  timingCache: Uint8Array.of(1, 2, 3),
})
const plain = (bytes: Uint8Array | undefined) => bytes && Uint8Array.from(bytes)

function keepPlans(folder: string, mebibytes: number, value: number, count: number): ChildProcess {
  const args = [SCRIPT, folder, ...[mebibytes, value, count].map(String)]
  return spawn(process.execPath, args, { stdio: 'ignore' })
}

describe('a plan that is kept', () => {
  test('is found by a later cache, with its trial and the timing cache', async () => {
    await withFolder(async (folder) => {
      const key = await planKey(TARGET, Uint8Array.of(1))
      const first = new PlanCache(join(folder, 'made', 'here'))
      expect(await first.plan(key)).toBeUndefined()
      expect(await first.trial(key)).toBeUndefined()
      expect(await first.timingCache(TARGET)).toHaveLength(0)
      await first.keep(key, TARGET, built(1000))
      await first.keepTrial(key, TRIAL)
      const later = new PlanCache(join(folder, 'made', 'here'))
      expect(plain(await later.plan(key))).toEqual(built(1000).plan)
      expect(await later.trial(key)).toEqual(TRIAL)
      expect(plain(await later.timingCache(TARGET))).toEqual(built(0).timingCache)
      expect(await later.timingCache({ ...TARGET, gpu: 'Thor' })).toHaveLength(0)
    })
  })

  test('has no trial after another build', async () => {
    await withFolder(async (folder) => {
      const cache = new PlanCache(folder)
      await cache.keep('key', TARGET, built(10))
      await cache.keepTrial('key', TRIAL)
      await cache.keep('key', TARGET, built(10))
      expect(await cache.trial('key')).toBeUndefined()
      expect(await cache.plan('key')).toBeDefined()
    })
  })

  test('keeps features that are not finite apart from numbers', async () => {
    await withFolder(async (folder) => {
      const cache = new PlanCache(folder)
      await cache.keepTrial('key', { ...TRIAL, cosines: [null, 0.5] })
      expect((await cache.trial('key'))?.cosines).toEqual([null, 0.5])
    })
  })

  test('serves one version, GPU, driver and ONNX file', async () => {
    const onnx = Uint8Array.of(1, 2, 3)
    const keys = await Promise.all([
      planKey(TARGET, onnx),
      planKey(TARGET, Uint8Array.of(1, 2, 4)),
      planKey({ ...TARGET, version: '10.16.2' }, onnx),
      planKey({ ...TARGET, gpu: 'Thor' }, onnx),
      planKey({ ...TARGET, computeCapability: '11.0' }, onnx),
      planKey({ ...TARGET, driver: '13.2' }, onnx),
    ])
    expect(new Set(keys).size).toBe(keys.length)
    expect(await planKey({ ...TARGET }, Uint8Array.from(onnx))).toBe(keys[0])
  })
})

describe('a damaged file is removed, and the next build kept', () => {
  const damages: Readonly<Record<string, (file: Buffer) => Buffer>> = {
    'cut in the middle': (file) => file.subarray(0, file.length / 2),
    'cut in its header': (file) => file.subarray(0, 20),
    empty: () => Buffer.alloc(0),
    longer: (file) => Buffer.concat([file, Buffer.alloc(1)]),
    'of another kind': (file) => Buffer.alloc(file.length),
    ...Object.fromEntries(
      [0, 9, 30, 500].map((at) => [
        `with another byte at ${at}`,
        (file: Buffer) => {
          file[at] = file[at]! ^ 1
          return file
        },
      ]),
    ),
  }

  test.each(Object.keys(damages))('%s', async (name) => {
    await withFolder(async (folder) => {
      const cache = new PlanCache(folder)
      await cache.keep('key', TARGET, built(1000))
      const file = join(folder, 'key.plan')
      writeFileSync(file, damages[name]!(readFileSync(file)))
      expect(await cache.plan('key')).toBeUndefined()
      expect(existsSync(file)).toBe(false)
      await cache.keep('key', TARGET, built(1000))
      expect(plain(await cache.plan('key'))).toEqual(built(1000).plan)
    })
  })

  test('that of another key under this name', async () => {
    await withFolder(async (folder) => {
      const cache = new PlanCache(folder)
      await cache.keep('other', TARGET, built(1000))
      writeFileSync(join(folder, 'key.plan'), readFileSync(join(folder, 'other.plan')))
      expect(await cache.plan('key')).toBeUndefined()
      expect(plain(await cache.plan('other'))).toEqual(built(1000).plan)
    })
  })
})

describe('processes', () => {
  test('killed while it writes loses nothing that was kept, and its leftover goes later', async () => {
    await withFolder(async (folder) => {
      const cache = new PlanCache(folder)
      await cache.keep('other', TARGET, built(1000))
      const leftovers = () => readdirSync(folder).filter(isTemporary)
      // A process may have finished its file before the signal reaches it. Then another one is killed.
      while (leftovers().length === 0) {
        await cache.remove('key')
        const child = keepPlans(folder, 64, 1, 1)
        const watcher = watch(folder, (_, name) => {
          if (name !== null && isTemporary(name)) child.kill('SIGKILL')
        })
        await once(child, 'exit')
        watcher.close()
      }
      expect(plain(await cache.plan('other'))).toEqual(built(1000).plan)
      expect(await cache.plan('key')).toBeUndefined()

      const [leftover] = leftovers()
      await cache.keep('key', TARGET, built(1000))
      expect(plain(await cache.plan('key'))).toEqual(built(1000).plan)
      expect(leftovers()).toEqual([leftover]) // its process might still write
      const longAgo = new Date(Date.now() - 2 * 60 * 60 * 1000)
      utimesSync(join(folder, leftover!), longAgo, longAgo)
      await cache.keepTrial('key', TRIAL)
      expect(leftovers()).toEqual([])
    })
  })

  test('that write the same plan at once never show half of one', async () => {
    await withFolder(async (folder) => {
      const cache = new PlanCache(folder)
      await cache.keep('key', TARGET, { ...built(2 ** 20, 1), timingCache: new Uint8Array() })
      const children = [1, 2].map((value) => keepPlans(folder, 1, value, 20))
      const ends = Promise.all(children.map((child) => once(child, 'exit')))
      let running = true
      void ends.then(() => (running = false))
      const seen = new Set<number>()
      while (running) {
        const plan = await cache.plan('key')
        expect(plan).toHaveLength(2 ** 20)
        seen.add(plan![0]!)
      }
      expect(await ends).toEqual([
        [0, null],
        [0, null],
      ])
      expect([...seen].every((value) => value === 1 || value === 2)).toBe(true)
      expect(readdirSync(folder)).toEqual(['key.plan'])
    })
  })
})

describe('a folder that takes no files is no failure, and one warning tells of it', () => {
  const keepAll = (folder: string | undefined) => async () => {
    const cache = new PlanCache(folder)
    await cache.keep('key', TARGET, built(1000))
    await cache.keepTrial('key', TRIAL)
    expect(await cache.plan('key')).toBeUndefined()
  }

  test('in a file system that cannot be written', async () => {
    skipIf(process.platform !== 'linux', 'no /proc')
    const warnings = await warningsOf(keepAll('/proc/dinov3-flow'))
    expect(warnings).toEqual([expect.stringContaining(CACHE_WARNING)])
    expect(warnings[0]).toContain('DINOV3_FLOW_CACHE names another folder')
  })

  test('with a file in its place', async () => {
    await withFolder(async (folder) => {
      writeFileSync(join(folder, 'file'), '')
      expect(await warningsOf(keepAll(join(folder, 'file')))).toEqual([
        expect.stringContaining('it is a file'),
      ])
    })
  })

  test('of a user without a home', async () => {
    expect(await warningsOf(keepAll(undefined))).toEqual([expect.stringContaining('no home folder')])
  })

  test('on a full disk', async () => {
    skipIf(process.platform !== 'linux', 'no /dev/full')
    await withFolder(async (folder) => {
      symlinkSync('/dev/full', join(folder, 'key.plan'))
      const warnings = await warningsOf(async () => {
        const cache = new PlanCache(folder)
        await cache.keep('key', TARGET, built(1000))
      })
      expect(warnings).toEqual([expect.stringContaining('ENOSPC')])
      // The device, which never ends, is not read.
      expect(await new PlanCache(folder).plan('key')).toBeUndefined()
    })
  })

  test('that is full after the first part of a file, of which nothing stays', async () => {
    skipIf(process.platform === 'win32', 'no ulimit')
    await withFolder(async (folder) => {
      const command = `ulimit -f 200; exec "$0" "$1" "$2" 4 1 1`
      const { stdout } = spawnSync('sh', ['-c', command, process.execPath, SCRIPT, folder], {
        encoding: 'utf8',
      })
      expect(stdout).toMatch(new RegExp(`^done\n${CACHE_WARNING}: .*EFBIG.*\n$`))
      expect(readdirSync(folder)).toEqual([])
    })
  })
})

describe('the bytes of a cache are bounded', () => {
  /** Sets when a file was last used. */
  const used = (folder: string, name: string, seconds: number) =>
    utimesSync(join(folder, name), seconds, seconds)

  test('what was not used for longest goes first, with its trial', async () => {
    await withFolder(async (folder) => {
      const cache = new PlanCache(folder, 10_000)
      for (const [i, key] of ['a', 'b'].entries()) {
        await cache.keep(key, TARGET, { ...built(4000), timingCache: new Uint8Array() })
        await cache.keepTrial(key, TRIAL)
        for (const kind of ['plan', 'trial']) used(folder, `${key}.${kind}`, 1000 + i)
      }
      expect(await cache.plan('a')).toBeDefined() // which is a use
      await cache.keep('c', TARGET, { ...built(4000), timingCache: new Uint8Array() })
      expect(readdirSync(folder).sort()).toEqual(['a.plan', 'a.trial', 'c.plan'])
    })
  })

  test('a plan that is larger than all of it is not kept, and nothing goes for it', async () => {
    await withFolder(async (folder) => {
      const cache = new PlanCache(folder, 10_000)
      await cache.keep('a', TARGET, built(4000))
      await cache.keep('b', TARGET, built(20_000))
      expect(await cache.plan('a')).toBeDefined()
      expect(await cache.plan('b')).toBeUndefined()
    })
  })

  test('folders in it are left alone', async () => {
    await withFolder(async (folder) => {
      mkdirSync(join(folder, 'own'))
      const cache = new PlanCache(folder, 1000)
      await cache.keep('a', TARGET, built(500))
      expect(readdirSync(folder)).toContain('own')
    })
  })
})

test.each([
  [{ DINOV3_FLOW_CACHE: '/here' }, '/here/tensorrt'],
  [{ DINOV3_FLOW_CACHE: '/here', XDG_CACHE_HOME: '/there' }, '/here/tensorrt'],
  [{ XDG_CACHE_HOME: '/there' }, '/there/dinov3-flow/tensorrt'],
  [{ XDG_CACHE_HOME: 'relative' }, join(homedir(), '.cache/dinov3-flow/tensorrt')],
  [{ DINOV3_FLOW_CACHE: '', XDG_CACHE_HOME: '' }, join(homedir(), '.cache/dinov3-flow/tensorrt')],
])('the folder by the environment %j is %s', (environment, folder) => {
  expect(cacheFolder(environment)).toBe(folder)
})
