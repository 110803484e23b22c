import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { makeFolder } from '../lib/support/make-folder.js'
import { flowError } from './support/compare.js'
import { skipIf } from './support/skip.js'

const root = mkdtempSync(join(tmpdir(), 'folder-'))
const at = (name: string) => join(root, name)
afterAll(() => rmSync(root, { recursive: true }))

describe('a folder', () => {
  test.each(['one', 'several/in/each other', 'with a slash/'])('is made: %s', (name) => {
    makeFolder(at(name))
    expect(statSync(at(name)).isDirectory()).toBe(true)
  })

  test('that is there is left as it is', () => {
    mkdirSync(at('there'))
    writeFileSync(at('there/file'), 'kept')
    makeFolder(at('there'))
    expect(statSync(at('there/file')).size).toBe(4)
  })

  test('is refused where a file is', () => {
    writeFileSync(at('file'), '')
    expect(() => makeFolder(at('file'))).toThrow(flowError('ERR_IO', 'file', 'name a folder'))
    expect(() => makeFolder(at('file/in it'))).toThrow(flowError('ERR_IO', 'file', 'name a folder'))
  })

  test('is refused where there can be none, in no time', () => {
    skipIf(process.platform !== 'linux', '/proc is of Linux')
    expect(() => makeFolder('/proc/none/deeper')).toThrow(flowError('ERR_IO', '/proc/none'))
  })
})
