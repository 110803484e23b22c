import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findSource } from '../../../lib/cli/video/source.js'
import { scratch } from '../helpers.js'

const at = scratch()

function folderWith(name: string, ...files: readonly string[]): string {
  mkdirSync(at(name))
  for (const file of files) writeFileSync(join(at(name), file), '')
  return at(name)
}

describe('the source of frames', () => {
  test('a file is named so that no part of its path is an option or a protocol', () => {
    writeFileSync(at('-a:50%d.mp4'), '')
    expect(findSource(at('-a:50%d.mp4'), undefined)).toMatchObject({
      input: ['-i', `file:${at('-a:50%d.mp4')}`],
      seekable: true,
    })
  })

  test('numbered pictures begin with the least number, and end where one is missing', () => {
    const folder = folderWith('100% a', '0098.png', '0099.png', '0100.png', '0103.png', '99.png', 'b.png')
    const source = findSource(join(folder, '%04d.png'), 10)
    expect(source.input).toEqual([
      '-threads',
      '1',
      '-f',
      'image2',
      '-framerate',
      '10',
      '-start_number',
      '98',
      '-i',
      join(at('100%% a'), '%04d.png'),
    ])
    expect(source.pictures).toEqual(['0098', '0099', '0100'])
    expect(source.notes).toEqual(["0101.png is missing: 1 picture after it left out ('*.png' takes all)"])
  })

  test('a pattern of the shell takes all that it matches, in order', () => {
    const folder = folderWith('[x]', 'b2.png', 'b1.png', 'b10.jpg', '.b3.png', 'c1.png')
    const source = findSource(join(folder, '[!c]?.png'), undefined)
    expect(source.pictures).toEqual(['b1', 'b2'])
    expect(source.input.slice(-4)).toEqual(['-pattern_type', 'glob', '-i', join(at('\\[x\\]'), '[!c]?.png')])
  })

  test('an address goes to ffmpeg; its password is not shown', () => {
    expect(findSource('rtsp://user:secret@camera/stream', undefined)).toMatchObject({
      name: 'rtsp://camera/stream',
      input: ['-rtsp_transport', 'tcp', '-i', 'rtsp://user:secret@camera/stream'],
      seekable: false,
    })
  })

  test.each([
    ['none.mp4', /no such file/],
    ['none-%03d.png', /no picture has such a name/],
    ['.', /is a folder: name a video, or its pictures by a pattern such as '.*%04d\.png'/],
  ])('%s is refused', (name, message) => {
    expect(() => findSource(at(name), undefined)).toThrow(message)
  })
})
