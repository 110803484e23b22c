import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { PACKAGE_ROOT } from '../../lib/cli/package.js'

const dataUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`

/** Runs Node as if a package were not installed. */
function without(name: string, ...args: readonly string[]) {
  const hook = `export async function resolve(specifier, context, next) {
    if (specifier === '${name}') throw new Error('no ${name} here')
    return next(specifier, context)
  }`
  const refuse = dataUrl(`import { register } from 'node:module'; register(${JSON.stringify(dataUrl(hook))})`)
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=DEP0205', '--import', refuse, ...args],
    {
      cwd: PACKAGE_ROOT,
      encoding: 'utf8',
    },
  )
  return { status, stdout: stdout.trim(), stderr }
}

describe('without sharp', () => {
  test('the package is imported, and does what needs no pictures', () => {
    const code = `import { encodeFlow, FlowField } from 'dinov3-flow'
      console.log((await encodeFlow(new FlowField(2, 1), 'flo')).length)`
    const done = without('sharp', '--input-type=module', '-e', code)
    expect(done).toEqual({ status: 0, stdout: '28', stderr: '' })
  })

  test('the program starts', () => {
    expect(without('sharp', 'dist/cli/index.js', '--version')).toMatchObject({ status: 0, stderr: '' })
  })

  test('a picture is refused, saying how to get sharp', () => {
    const code = `import { loadImage } from 'dinov3-flow'
      await loadImage('test/fixtures/tiny/frame1.png').catch(({ code, message }) => console.log(code, message))`
    const { stdout } = without('sharp', '--input-type=module', '-e', code)
    expect(stdout).toMatch(/^ERR_NATIVE sharp, .*no sharp here\n.*npm install/)
  })
})

describe('without h5wasm', () => {
  test('a .flo5 is neither read nor written, and each says how to get h5wasm', () => {
    const code = `import { decodeFlow, encodeFlow, FlowField } from 'dinov3-flow'
      const tell = ({ code, message }) => console.log(code, message)
      await encodeFlow(new FlowField(2, 1), 'flo5').catch(tell)
      await decodeFlow(new Uint8Array([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]), 'flo5').catch(tell)`
    const { stdout } = without('h5wasm', '--input-type=module', '-e', code)
    const refusal = 'ERR_NATIVE h5wasm, .*no h5wasm here\\n.*npm install h5wasm'
    expect(stdout).toMatch(new RegExp(`^${refusal}\\n${refusal}$`))
  })
})
