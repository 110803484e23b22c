import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { runScript } from '../support/child.js'
import { useEmulator } from '../support/emulator.js'
import { withFolder } from '../support/fixtures.js'
import { skipIf } from '../support/skip.js'

useEmulator()

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

it('what a model makes is ordinary memory where external buffers are forbidden, as in Electron', async () => {
  skipIf(process.platform !== 'linux', 'the stand-in for Electron needs RTLD_DEEPBIND')
  await withFolder(async (folder) => {
    const standIn = join(folder, 'stand-in.node')
    const addon = file('../../build/Release/dinov3_flow.node')
    const source = file('../support/forbid-external-buffers.cpp')
    const args = ['-shared', '-fPIC', '-o', standIn, source, '-Wl,--no-as-needed', addon]
    const compiled = spawnSync(process.env['CXX'] ?? 'c++', args, { encoding: 'utf8' })
    expect(compiled.stderr).toBe('')
    const { stdout, stderr } = await runScript('external-buffers-forbidden.mjs', [standIn])
    expect(stderr).toMatch(/^refused \d+ bytes$/m)
    expect(JSON.parse(stdout)).toEqual({
      engine: 'cuda',
      same: true,
      features: { data: null, same: true },
      dlpack: { given: true, data: null, taken: [1, 2, 3] },
    })
  })
})
