import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FlowField, readFlow, writeFlow } from '../lib/index.js'
import { flowError } from './support/compare.js'
import { withFolder } from './support/fixtures.js'
import { skipIf } from './support/skip.js'

const FLOW = new FlowField(2, 1, Float32Array.of(1, 2, 3, 4))
const mode = (path: string) => statSync(path).mode & 0o7777

describe('writing a file', () => {
  test('through a symbolic link keeps the link, and writes the file that it names', async () => {
    await withFolder(async (folder) => {
      mkdirSync(join(folder, 'far'))
      const target = join(folder, 'far', 'target.flo')
      writeFileSync(target, 'old')
      symlinkSync('far/target.flo', join(folder, 'one.flo'))
      symlinkSync('one.flo', join(folder, 'two.flo'))
      await writeFlow(join(folder, 'two.flo'), FLOW)
      expect(readlinkSync(join(folder, 'two.flo'))).toBe('one.flo')
      expect(readlinkSync(join(folder, 'one.flo'))).toBe('far/target.flo')
      expect(await readFlow(target)).toEqual(FLOW)
      expect(readdirSync(join(folder, 'far'))).toEqual(['target.flo'])
    })
  })

  test('through a link that names no file yet makes the file', async () => {
    await withFolder(async (folder) => {
      symlinkSync('later.flo', join(folder, 'link.flo'))
      await writeFlow(join(folder, 'link.flo'), FLOW)
      expect(lstatSync(join(folder, 'later.flo')).isFile()).toBe(true)
      expect(await readFlow(join(folder, 'link.flo'))).toEqual(FLOW)
    })
  })

  test('whose links go round in a circle is refused', async () => {
    await withFolder(async (folder) => {
      symlinkSync('b.flo', join(folder, 'a.flo'))
      symlinkSync('a.flo', join(folder, 'b.flo'))
      await expect(writeFlow(join(folder, 'a.flo'), FLOW)).rejects.toThrow(
        flowError('ERR_IO', 'a.flo', 'ELOOP'),
      )
    })
  })

  test.each([0o600, 0o640, 0o755, 0o666])('keeps the mode %o of an existing file', async (bits) => {
    await withFolder(async (folder) => {
      const path = join(folder, 'a.flo')
      writeFileSync(path, '')
      chmodSync(path, bits)
      await writeFlow(path, FLOW)
      expect(mode(path)).toBe(bits)
    })
  })

  test('makes a new file with the usual mode', async () => {
    await withFolder(async (folder) => {
      await writeFlow(join(folder, 'a.flo'), FLOW)
      expect(mode(join(folder, 'a.flo'))).toBe(0o666 & ~process.umask())
    })
  })

  test.each(['x'.repeat(251), 'ä'.repeat(125)])(
    'takes a name of all that the file system allows: %.3s',
    async (name) => {
      await withFolder(async (folder) => {
        await writeFlow(join(folder, `${name}.flo`), FLOW)
        expect(readdirSync(folder)).toEqual([`${name}.flo`])
      })
    },
  )

  test('refuses a longer name, and leaves nothing behind', async () => {
    await withFolder(async (folder) => {
      const error = await writeFlow(join(folder, `${'x'.repeat(252)}.flo`), FLOW).catch(
        (cause: unknown) => cause,
      )
      expect(error).toEqual(flowError('ERR_IO', 'ENAMETOOLONG'))
      expect((error as Error).message.length).toBeLessThan(400)
      expect(readdirSync(folder)).toEqual([])
    })
  })

  test('into a pipe writes to its reader, and keeps the pipe', async () => {
    skipIf(process.platform === 'win32', 'Windows has no such pipes')
    await withFolder(async (folder) => {
      const pipe = join(folder, 'pipe.flo')
      execFileSync('mkfifo', [pipe])
      const reader = spawn('sh', ['-c', 'cat "$0" > "$1"', pipe, join(folder, 'copy.flo')])
      await Promise.all([writeFlow(pipe, FLOW), once(reader, 'close')])
      expect(statSync(pipe).isFIFO()).toBe(true)
      expect(readFileSync(join(folder, 'copy.flo'))).toHaveLength(12 + 16)
    })
  })
})
