import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Diagnosis } from '../../lib/cli/doctor/diagnose.js'
import { whyNotLoadable } from '../../lib/cli/doctor/nvidia.js'
import { skipIf } from '../support/skip.js'
import { call } from './helpers.js'

afterEach(() => vi.unstubAllEnvs())

async function diagnosis(): Promise<{ code: number; found: Diagnosis }> {
  const { code, out } = await call('doctor', '--json')
  return { code, found: JSON.parse(out) as Diagnosis }
}

describe('doctor', () => {
  test('runs a network on the CPU engine and says on what', async () => {
    const { code, found } = await diagnosis()
    expect(code).toBe(0)
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(found).toMatchObject({
      ok: true,
      version,
      node: process.version,
      engines: { cpu: { works: true } },
    })
    expect(found.engines.cpu).toMatchObject({ instructionSet: expect.stringMatching(/^(avx|sse|neon)/) })
    expect(found.addon).toMatch(/\.node$/)
    expect(found.memory.available).toBeLessThanOrEqual(found.memory.total)
  })

  test('prints a line for each part, and that all is well', async () => {
    const { code, out, err } = await call('doctor')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    for (const part of ['version', 'system', 'cpu', 'memory', 'addon', 'cpu engine', 'cuda engine'])
      expect(out).toMatch(new RegExp(`^${part} +\\S`, 'm'))
    expect(out).toMatch(/All is well\.\n$/)
  })

  test('exits with 1 and says why where the engine does not work', async () => {
    vi.stubEnv('DINOV3_FLOW_ISA', 'abacus')
    const { code, found } = await diagnosis()
    expect(code).toBe(1)
    expect(found).toMatchObject({
      ok: false,
      engines: {
        cpu: { works: false, error: { code: 'ERR_DEVICE', message: expect.stringContaining('abacus') } },
      },
    })
    const { out } = await call('doctor')
    expect(out).toContain('does not work (ERR_DEVICE):')
  })

  test('asks the loader whether a library is there', () => {
    skipIf(process.platform !== 'linux', 'libraries have other names on this system')
    expect(whyNotLoadable('libc.so.6')).toBeNull()
    expect(whyNotLoadable('libthere-is-none.so.1')).toContain('libthere-is-none.so.1')
  })
})
