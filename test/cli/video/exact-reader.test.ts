import { PassThrough, Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { ExactReader } from '../../../lib/cli/video/exact-reader.js'

test('frames are filled whatever the chunks of the pipe are, and a last part is no frame', async () => {
  const bytes = Buffer.from(Array.from({ length: 103 }, (_, i) => i))
  for (const size of [1, 7, 10, 25, 64, 103]) {
    const pipe = new PassThrough()
    const reader = new ExactReader(pipe)
    for (let at = 0; at < bytes.length; at += size) pipe.write(bytes.subarray(at, at + size))
    pipe.end()
    const frames: number[][] = []
    const frame = new Uint8Array(10)
    while (await reader.fill(frame)) frames.push([...frame])
    expect(frames).toEqual(Array.from({ length: 10 }, (_, n) => [...bytes.subarray(10 * n, 10 * n + 10)]))
  }
})

test('a pipe that is not wanted is not read', async () => {
  let given = 0
  const pipe = new Readable({ highWaterMark: 64, read: () => void pipe.push(Buffer.alloc(64, ++given)) })
  const reader = new ExactReader(pipe)
  const frame = new Uint8Array(64)
  for (const expected of [1, 2, 3]) {
    await reader.fill(frame)
    expect(frame.every((value) => value === expected)).toBe(true)
    await new Promise(setImmediate)
    // A pipe reads ahead for its own buffer.
    expect(given).toBeLessThanOrEqual(expected + 2)
  }
  pipe.destroy()
})
