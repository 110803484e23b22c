import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FlowField, inspectCheckpoint, loadImage, readFlow, savePng, writeFlow } from '../lib/index.js'
import { flowError } from './support/compare.js'
import { fixture, withFolder } from './support/fixtures.js'

test('every file may be named by a file: URL', async () => {
  await withFolder(async (folder) => {
    const url = (name: string) => pathToFileURL(join(folder, name))
    await writeFlow(url('a b.flo'), new FlowField(2, 1))
    expect((await readFlow(url('a b.flo'))).width).toBe(2)
    await savePng(url('a.png'), { data: new Uint8Array(6), width: 2, height: 1 })
    expect((await loadImage(url('a.png'))).width).toBe(2)
  })
  expect(inspectCheckpoint(pathToFileURL(fixture('tiny/head.pth'))).kind).toBe('head')
})

test('no other URL, and nothing else, names a file', async () => {
  const url = new URL('https://example.com/a.png')
  const refusal = flowError('ERR_ARGUMENT', 'example.com', 'file: URL')
  await expect(readFlow(url)).rejects.toThrow(refusal)
  await expect(writeFlow(url, new FlowField(2, 1))).rejects.toThrow(refusal)
  await expect(loadImage(url)).rejects.toThrow(refusal)
  await expect(savePng(url, { data: new Uint8Array(3), width: 1, height: 1 })).rejects.toThrow(refusal)
  expect(() => inspectCheckpoint(url)).toThrow(refusal)
  expect(() => inspectCheckpoint('')).toThrow(flowError('ERR_ARGUMENT', '""'))
})

test('a name that a terminal would obey is told on one line, without obeying', async () => {
  const names = ['a\u001b[31m\nb.flo', 'a\0b.flo', 'a\u202eb.flo']
  for (const name of names)
    for (const refused of [
      () => readFlow(name),
      () => loadImage(name),
      () => writeFlow(join('nowhere', name), new FlowField(1, 1)),
    ]) {
      const error: unknown = await refused().catch((cause: unknown) => cause)
      const message: unknown = expect.stringMatching(/^[^\p{C}]*\\u[^\p{C}]*$/u)
      expect(error).toMatchObject({ code: 'ERR_IO', message })
    }
  const file = 'a\\u001b[31m\\u000ab.flo: no such file'
  expect(() => inspectCheckpoint(names[0]!)).toThrow(flowError('ERR_IO', file))
})
