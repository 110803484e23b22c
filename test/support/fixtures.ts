import { mkdtempSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { openCheckpoint } from '../../lib/checkpoint/open.js'
import { FlowModel, type LoadOptions } from '../../lib/index.js'

/** A frame of the tests: RGB, rows without padding. */
export interface RgbFrame {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
}

/** Path of a file in test/fixtures. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))
}

/** Options that load the tiny model on the CPU engine. */
export const TINY = {
  device: 'cpu',
  backbone: fixture('tiny/backbone.safetensors'),
  head: fixture('tiny/head.safetensors'),
  size: 'native',
} as const

/** Loads the tiny model. Its patches have 16 x 16 pixels, its features 64 channels. */
export function loadTiny(options: Partial<LoadOptions> = {}): Promise<FlowModel> {
  return FlowModel.load({ ...TINY, ...options })
}

/** The two frames of the tiny model's golden data, 160 x 112. */
export async function tinyFrames(): Promise<readonly [RgbFrame, RgbFrame]> {
  return [await decodeRgb('tiny/frame1.png'), await decodeRgb('tiny/frame2.png')]
}

/** Decodes a fixture to RGB. */
export async function decodeRgb(name: string): Promise<RgbFrame> {
  const { data, info } = await sharp(fixture(name)).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height }
}

/** A frame of any size with pseudo-random pixels, which follow from `seed`. */
export function noiseFrame(width: number, height: number, seed: number): RgbFrame {
  const data = new Uint8Array(3 * width * height)
  let state = seed * 2654435761
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    data[i] = state >>> 24
  }
  return { data, width, height }
}

/** All tensors of a file of float32, by name. */
export function readTensors(path: string): Map<string, Float32Array> {
  const file = openCheckpoint(path)
  try {
    return new Map(
      [...file.tensors.values()].map(({ name, shape, file: { fd }, offset }) => {
        const values = new Float32Array(shape.reduce((product, n) => product * n, 1))
        readSync(fd, new Uint8Array(values.buffer), 0, values.byteLength, offset)
        return [name, values]
      }),
    )
  } finally {
    file.close()
  }
}

/** A tensor of {@link readTensors} that must be there. */
export function tensor(tensors: ReadonlyMap<string, Float32Array>, name: string): Float32Array {
  const values = tensors.get(name)
  if (values === undefined) throw new Error(`no tensor ${name}`)
  return values
}

/** Runs `use` with the path of a folder that is removed afterwards. */
export async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'dinov3-flow-'))
  try {
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
