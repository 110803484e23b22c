import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { skipIf } from '../support/skip.js'
import { call, scratch } from './helpers.js'

const path = scratch()
afterEach(() => vi.unstubAllEnvs())

/** Makes a folder of programs the only one on the PATH. Each notes what it is called with, and prints a version. */
function onlyPrograms(folder: string, versions: Readonly<Record<string, string>>): { calls(): string[] } {
  skipIf(process.platform === 'win32', 'a script is no program on this system')
  const log = path(`${folder}.log`)
  mkdirSync(path(folder))
  writeFileSync(log, '')
  for (const [name, version] of Object.entries(versions)) {
    const program = path(`${folder}/${name}`)
    writeFileSync(program, `#!/bin/sh\necho "${name} $@" >> '${log}'\necho 'version ${version}'\n`)
    chmodSync(program, 0o755)
  }
  vi.stubEnv('PATH', path(folder))
  vi.stubEnv('CXX', undefined)
  return { calls: () => readFileSync(log, 'utf8').trim().split('\n') }
}

const TOOLS = { cmake: '3.25.1', 'c++': '12.2', ninja: '1.11' }

describe('build', () => {
  test('names all that is missing at once, and how to get each', async () => {
    onlyPrograms('none', {})
    const { code, out, err } = await call('build')
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(
      /CMake 3\.22 or newer\n +\S.*cmake\n +a compiler for C\+\+20.*\n +\S.*\n +make or ninja\n/,
    )
  })

  test('refuses a CMake that is too old, and names the compiler that CXX asks for', async () => {
    onlyPrograms('old', { ...TOOLS, cmake: '3.21.9' })
    vi.stubEnv('CXX', 'no-such-compiler')
    const { code, err } = await call('build')
    expect(code).toBe(1)
    expect(err).toContain('CMake 3.22 or newer, not 3.21')
    expect(err).toContain('no-such-compiler')
    expect(err).not.toContain('ninja')
  })

  test.each([
    ['auto', [], '-DFLOW_CUDA=AUTO -UFLOW_CUDA_ARCHITECTURES'],
    ['off', ['--cuda', 'off'], '-DFLOW_CUDA=OFF -UFLOW_CUDA_ARCHITECTURES'],
    ['a list', ['--cuda', '80,90a-real'], '-DFLOW_CUDA=ON -DFLOW_CUDA_ARCHITECTURES=80;90a-real'],
    ['options of CMake', ['--cuda', 'off', '--', '-DA=B'], '-DFLOW_CUDA=OFF -UFLOW_CUDA_ARCHITECTURES -DA=B'],
  ])('configures and builds the addon: %s', async (name, flags, options) => {
    const { calls } = onlyPrograms(name, TOOLS)
    const { code, out } = await call('build', ...flags)
    expect(code).toBe(0)
    const [configure, compile] = calls().slice(-2)
    expect(configure).toContain(options)
    expect(configure).toMatch(/-DFLOW_NODE_HEADERS=\/[^ ]*node-api-headers[^ ]*;\/[^ ]*node-addon-api/)
    expect(compile).toMatch(/^cmake --build .*--target dinov3_flow/)
    expect(out).toContain('dinov3_flow.node')
  })

  test('refuses architectures that are none', async () => {
    expect(await call('build', '--cuda', '8.7')).toMatchObject({
      code: 2,
      err: expect.stringContaining('80,90a'),
    })
  })
})
