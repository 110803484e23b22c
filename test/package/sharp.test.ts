import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { PACKAGE_ROOT } from '../../lib/cli/package.js'

/** Of a system for which sharp has no binary. */
const HOOK = `export async function resolve(specifier, context, next) {
  if (specifier === 'sharp') throw new Error('no sharp here')
  return next(specifier, context)
}`
const dataUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`
const REFUSE_SHARP = dataUrl(
  `import { register } from 'node:module'; register(${JSON.stringify(dataUrl(HOOK))})`,
)

function withoutSharp(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', REFUSE_SHARP, ...args], {
    cwd: PACKAGE_ROOT,
    encoding: 'utf8',
  })
  return { status, stdout: stdout.trim(), stderr }
}

describe('without sharp', () => {
  test('the package is imported, and does what needs no pictures', () => {
    const code = `import { encodeFlow, FlowField } from 'dinov3-flow'
      console.log((await encodeFlow(new FlowField(2, 1), 'flo')).length)`
    const done = withoutSharp('--input-type=module', '-e', code)
    expect(done).toEqual({ status: 0, stdout: '28', stderr: '' })
  })

  test('the program starts', () => {
    expect(withoutSharp('dist/cli/index.js', '--version')).toMatchObject({ status: 0, stderr: '' })
  })

  test('a picture is refused, saying how to get sharp', () => {
    const code = `import { loadImage } from 'dinov3-flow'
      await loadImage('test/fixtures/tiny/frame1.png').catch(({ code, message }) => console.log(code, message))`
    const { stdout } = withoutSharp('--input-type=module', '-e', code)
    expect(stdout).toMatch(/^ERR_NATIVE sharp, .*no sharp here\n.*npm install/)
  })
})
