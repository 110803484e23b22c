import { describe, expect, it } from 'vitest'
import { runScript } from '../support/child.js'

describe('eight worker threads, each with a stream', () => {
  const run = async (way: string) => {
    const { code, signal, stdout, stderr } = await runScript('stream-workers.mjs', [way])
    return { code, signal, stdout: stdout.trim(), stderr }
  }
  const survived = (outcome: string) => ({
    code: 0,
    signal: null,
    stdout: `${outcome}; survived 96`,
    stderr: '',
  })

  it('may call process.exit with frames in flight', async () => {
    expect(await run('exit')).toEqual(survived('5 streaming'))
  })

  it('may come to their end with frames in flight, which are computed first', async () => {
    expect(await run('return')).toEqual(survived('0 computed'))
  })

  it('may be terminated at any moment', async () => {
    expect(await run('terminate')).toEqual(survived('terminated'))
  })

  it('do not keep the main thread from process.exit in the continuation of a push', async () => {
    expect(await run('main')).toEqual({ code: 7, signal: null, stdout: '', stderr: '' })
  })
})
