import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { skipIf } from '../support/skip.js'
import { fixture, TINY } from './helpers.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PROGRAM = join(ROOT, 'dist', 'cli', 'index.js')

const MODEL = ['--backbone', TINY.backbone, '--head', TINY.head]

/** A minute of work on a fast core. */
const LONG = ['run', TINY.first, TINY.second, ...MODEL, '--size', '4096x4096', '--threads', '1']

/** The time for which a process has computed. Unlike the time since its start, it does not depend on the machine's load. */
function cpuSeconds(pid: number): number {
  const afterName = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  const TICKS_PER_SECOND = 100
  return (Number(afterName[11]) + Number(afterName[12])) / TICKS_PER_SECOND
}

describe('the compiled program', () => {
  test('prints to stdout, and exits with the code', () => {
    const good = spawnSync(process.execPath, [PROGRAM, 'run', TINY.first, TINY.second, ...MODEL, '--json'])
    expect(good.status).toBe(0)
    expect(JSON.parse(good.stdout.toString())).toMatchObject({ network: { width: 640 } })
    expect(good.stderr.toString()).toBe('')
    expect(spawnSync(process.execPath, [PROGRAM, 'run']).status).toBe(2)
    expect(spawnSync(process.execPath, [PROGRAM, 'inspect', TINY.first]).status).toBe(1)
  })

  test('reads a picture or flow from standard input', () => {
    const input = readFileSync(TINY.first)
    const run = spawnSync(process.execPath, [PROGRAM, 'run', '-', TINY.second, ...MODEL, '--json'], { input })
    expect(JSON.parse(run.stdout.toString())).toMatchObject({
      frames: [{ path: '-', width: 160 }, { width: 160 }],
    })
    const flow = readFileSync(fixture('formats/flow.npz'))
    const metrics = spawnSync(
      process.execPath,
      [PROGRAM, 'metrics', '-', fixture('formats/flow.npz'), '--json'],
      { input: flow },
    )
    expect(JSON.parse(metrics.stdout.toString())).toMatchObject({ epe: 0 })
  })

  test('does not mind a reader that leaves', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'inspect', TINY.head, '--json'])
    child.stdout.destroy()
    let err = ''
    child.stderr.on('data', (text: Buffer) => (err += text.toString()))
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect({ code, err }).toEqual({ code: 0, err: '' })
  })

  test('ends at Ctrl-C, at once, amid native work', async () => {
    skipIf(process.platform !== 'linux', 'only Linux tells how long another process has computed')
    const child = spawn(process.execPath, [PROGRAM, ...LONG])
    while (cpuSeconds(child.pid!) < 2) await sleep(20) // it gets to the backbone in a fraction of that
    child.kill('SIGINT')
    const start = performance.now()
    // Ended by the signal itself: what a shell calls 130, and the only way in which it stops its script, too.
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT'])
    expect(performance.now() - start).toBeLessThan(10_000) // the work that is left takes much longer
  })
})
