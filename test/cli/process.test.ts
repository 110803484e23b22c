import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { TINY } from './helpers.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PROGRAM = join(ROOT, 'dist', 'cli', 'index.js')

/** Tens of seconds of work. */
const MODEL = ['--backbone', TINY.backbone, '--head', TINY.head]
const LONG = ['run', TINY.first, TINY.second, ...MODEL, '--size', '4096x4096']

describe('the compiled program', () => {
  test('prints to stdout, and exits with the code', () => {
    const good = spawnSync(process.execPath, [PROGRAM, 'run', TINY.first, TINY.second, ...MODEL, '--json'])
    expect(good.status).toBe(0)
    expect(JSON.parse(good.stdout.toString())).toMatchObject({ network: { width: 640 } })
    expect(good.stderr.toString()).toBe('')
    expect(spawnSync(process.execPath, [PROGRAM, 'run']).status).toBe(2)
    expect(spawnSync(process.execPath, [PROGRAM, 'inspect', TINY.first]).status).toBe(1)
  })

  test('does not mind a reader that leaves', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'inspect', TINY.head, '--json'])
    child.stdout.destroy()
    let err = ''
    child.stderr.on('data', (text: Buffer) => (err += text.toString()))
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect({ code, err }).toEqual({ code: 0, err: '' })
  })

  test.skipIf(process.platform === 'win32')('ends at Ctrl-C, at once, amid native work', async () => {
    const child = spawn(process.execPath, [PROGRAM, ...LONG])
    await sleep(2000) // it takes a fraction of that to get to the backbone, and tens of seconds from there
    const start = performance.now()
    child.kill('SIGINT')
    // Ended by the signal itself: what a shell calls 130, and the only way in which it stops its script, too.
    expect(await once(child, 'exit')).toEqual([null, 'SIGINT'])
    expect(performance.now() - start).toBeLessThan(2000)
  })
})
