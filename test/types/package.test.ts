import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TSC = 'node_modules/typescript/bin/tsc'

/** Runs Node in the package's root, from where it knows itself by its name. */
function node(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })
  return { status, stdout: stdout.trim(), stderr }
}

describe('the package as it is published', () => {
  it('compiles in modules and in CommonJS, its declarations checked, too', () => {
    expect(node(TSC, '-p', 'test/types/consumer')).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  it('is the same when it is imported and when it is required', () => {
    const print = (load: string) =>
      `const flow = ${load}('dinov3-flow'); console.log(Object.keys(flow).sort().join())`
    const required = node('--input-type=commonjs', '-e', print('require'))
    expect(required).toMatchObject({ status: 0, stdout: expect.stringContaining('FlowModel') })
    expect(node('--input-type=module', '-e', print('await import')).stdout).toBe(required.stdout)
  })
})
