import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { PACKAGE_ROOT } from '../../lib/cli/package.js'
import { scratch } from '../cli/helpers.js'
import { example, runExample } from './run.js'

const at = scratch()

test.each([
  'browser-camera/server.mjs',
  'motion-recorder/recorder.mjs',
  'native-head/segment.mjs',
  'second-head/follow.mjs',
  'stabiliser/stabilise.mjs',
])('%s has a help text, a README with its command, and a line in the list', async (path) => {
  const { code, out, err } = await runExample(path, ['--help'])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^Usage: node \w+\.mjs/)
  expect(out).toContain('-h, --help')
  const readme = readFileSync(example(`${dirname(path)}/README.md`), 'utf8')
  expect(readme).toContain(`node examples/${path}`)
  // Options that its command lines name are in the help text.
  for (const [option] of readme.matchAll(/(?<= )--[a-z]+/g))
    if (option !== '--help') expect(out).toContain(option)
  for (const [, link] of readme.matchAll(/\]\((?!https?:)([^)]+)\)/g))
    expect(existsSync(example(`${dirname(path)}/${link}`)), link).toBe(true)
  expect(readFileSync(example('README.md'), 'utf8')).toContain(`(${dirname(path)})`)
})

test.each([
  ['browser-camera/server.mjs', [], 'ws'],
  ['second-head/follow.mjs', ['a.mp4', '--point', '1,1', '-o', 'b.mp4'], 'onnxruntime-node'],
])('%s says that it needs a package', async (path, args, name) => {
  // As a user has it who installed dinov3-flow alone.
  const folder = at(name)
  cpSync(example('.'), `${folder}/examples`, { recursive: true })
  mkdirSync(`${folder}/node_modules`)
  symlinkSync(PACKAGE_ROOT, `${folder}/node_modules/dinov3-flow`, 'junction')
  const { code, err } = await runExample(`${folder}/examples/${path}`, args)
  expect({ code, err }).toEqual({ code: 1, err: `error: this example needs ${name}: npm install ${name}\n` })
})
