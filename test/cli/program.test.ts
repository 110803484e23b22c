import { describe, expect, test } from 'vitest'
import { call, callWith, fixture } from './helpers.js'

const COMMANDS = ['run', 'video', 'viz', 'metrics', 'convert', 'inspect', 'doctor', 'build']

describe('the program', () => {
  test('--version prints the version of the package', async () => {
    expect(await call('--version')).toEqual({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      err: '',
    })
  })

  test('--help lists every command', async () => {
    const { code, out, err } = await call('--help')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    for (const command of COMMANDS) expect(out).toMatch(new RegExp(`^ {2}${command} {2,}\\S`, 'm'))
  })

  test.each(COMMANDS)('%s --help fits lines of 100 characters and goes to stdout', async (command) => {
    const { code, out, err } = await call(command, '--help')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(new RegExp(`^Usage: dinov3-flow ${command} `))
    expect(out.split('\n').filter((line) => line.length > 100)).toEqual([])
  })

  test('without a command prints its help to stderr: exit code 2', async () => {
    expect(await call()).toEqual({ code: 2, out: '', err: expect.stringContaining('Usage: dinov3-flow') })
  })

  test('suggests the command that was meant', async () => {
    const { code, err } = await call('inspcet', 'x')
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('Did you mean inspect?') })
  })

  test('prints errors without their stack, and with it where that is asked for', async () => {
    const absent = fixture('none.flo')
    const plain = await call('convert', absent, 'x.npy')
    expect(plain.err).toMatch(/^error: .* \(ERR_IO\)\n$/)
    const debug = await callWith({ debug: true }, 'convert', absent, 'x.npy')
    expect(debug.code).toBe(1)
    expect(debug.err).toMatch(/\n {4}at .*\n[^]*caused by: .*ENOENT/)
  })
})
