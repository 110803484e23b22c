import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { FlowField, savePng, writeFlow, writeMap } from '../../lib/index.js'
import { noiseFrame, type RgbFrame } from '../support/fixtures.js'

// Small trees of data sets, as their archives unpack.

export const [WIDTH, HEIGHT] = [64, 48]

/** A picture that follows from its number. Neighbours are alike: the same noise, shifted. */
function frame(number: number): RgbFrame {
  const noise = noiseFrame(WIDTH / 4, HEIGHT / 4, 7)
  const data = new Uint8Array(3 * WIDTH * HEIGHT)
  for (let row = 0; row < HEIGHT; row++)
    for (let column = 0; column < WIDTH; column++) {
      const from = Math.floor(row / 4) * (WIDTH / 4) + (Math.floor((column + 3 * number) / 4) % (WIDTH / 4))
      data.set(noise.data.subarray(3 * from, 3 * from + 3), 3 * (row * WIDTH + column))
    }
  return { data, width: WIDTH, height: HEIGHT }
}

/** Short, middling and long motions, one above `maxFlow`, and a part that is unknown. */
function truth(number: number, width = WIDTH, height = HEIGHT): FlowField {
  const flow = new FlowField(width, height)
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [(i % width) / width, Math.floor(i / width) / height]
    flow.x[i] = x < 0.5 ? -3 - number : x < 0.8 ? 20 : x < 0.95 ? 60 : 500
    flow.y[i] = y < 0.9 ? y * number : NaN
    if (y >= 0.9) flow.x[i] = NaN
  }
  return flow
}

/** The pixels for which `set` holds, of places from 0 to 1. */
function mask(set: (x: number, y: number) => boolean) {
  const data = Uint8Array.from({ length: WIDTH * HEIGHT }, (_, i) =>
    set((i % WIDTH) / WIDTH, Math.floor(i / WIDTH) / HEIGHT) ? 1 : 0,
  )
  return { data, width: WIDTH, height: HEIGHT }
}

export const OCCLUDED = mask((x) => x > 0.7)
const INVALID = mask((_, y) => y < 0.25)

const digits = (number: number, count: number) => String(number).padStart(count, '0')

function place(root: string, name: string): string {
  const path = join(root, name)
  mkdirSync(dirname(path), { recursive: true })
  return path
}

const picture = (root: string, name: string, number: number) => savePng(place(root, name), frame(number))
const flow = (root: string, name: string, field: FlowField) => writeFlow(place(root, name), field)

async function ppm(root: string, name: string, number: number): Promise<void> {
  const { data } = frame(number)
  writeFileSync(place(root, name), Buffer.concat([Buffer.from(`P6\n${WIDTH} ${HEIGHT}\n255\n`), data]))
}

/** What the flow of a pair is measured against: the numbers of its frames, and the number of its truth. */
export interface MadePair {
  readonly name: string
  readonly frames: readonly [number, number]
  readonly truth: number
}

export const made = (pair: MadePair) => ({
  first: frame(pair.frames[0]),
  second: frame(pair.frames[1]),
  truth: truth(pair.truth),
})

/** Makes a tree below a folder. Returns its pairs, in order. */
type Make = (root: string) => Promise<readonly MadePair[]>

async function sintel(root: string): Promise<readonly MadePair[]> {
  const pairs: MadePair[] = []
  for (const [s, scene] of ['alley_1', 'cave_4'].entries())
    for (let n = 1; n <= 3; n++) {
      const name = `${scene}/frame_${digits(n, 4)}`
      for (const [p, pass] of ['clean', 'final'].entries())
        await picture(root, `training/${pass}/${name}.png`, 10 * s + n + 100 * p)
      if (n === 3) continue
      await flow(root, `training/flow/${name}.flo`, truth(s + n))
      await writeMap(place(root, `training/occlusions/${name}.png`), OCCLUDED)
      await writeMap(place(root, `training/invalid/${name}.png`), INVALID)
      pairs.push({ name, frames: [10 * s + n, 10 * s + n + 1], truth: s + n })
    }
  return pairs
}

async function kitti(root: string): Promise<readonly MadePair[]> {
  const pairs: MadePair[] = []
  for (let n = 0; n < 3; n++) {
    const name = `${digits(n, 6)}_10`
    await picture(root, `training/image_2/${name}.png`, n)
    await picture(root, `training/image_2/${digits(n, 6)}_11.png`, n + 1)
    const all = truth(n)
    // 16 bits hold up to 512 px in steps of 1/64 px.
    for (let i = 0; i < all.y.length; i++) all.y[i] = Math.round(64 * all.y[i]!) / 64
    await flow(root, `training/flow_occ/${name}.png`, all)
    const visible = new FlowField(WIDTH, HEIGHT, all.data.slice())
    OCCLUDED.data.forEach((hidden, i) => {
      if (hidden === 1) visible.x[i] = visible.y[i] = NaN
    })
    await flow(root, `training/flow_noc/${name}.png`, visible)
    pairs.push({ name, frames: [n, n + 1], truth: n })
  }
  return pairs
}

async function spring(root: string): Promise<readonly MadePair[]> {
  for (let n = 1; n <= 3; n++) {
    await picture(root, `train/0001/frame_left/frame_left_${digits(n, 4)}.png`, n)
    // Every second pixel of every second row is that of the truth at the frame's size.
    const path = `train/0001/flow_FW_left/flow_FW_left_${digits(n, 4)}.flo5`
    if (n < 3) await flow(root, path, truth(n, 2 * WIDTH, 2 * HEIGHT))
  }
  return [1, 2].map((n) => ({ name: `0001/${digits(n, 4)}`, frames: [n, n + 1], truth: n }))
}

async function chairs(root: string): Promise<readonly MadePair[]> {
  for (let n = 1; n <= 4; n++) {
    await ppm(root, `data/${digits(n, 5)}_img1.ppm`, n)
    await ppm(root, `data/${digits(n, 5)}_img2.ppm`, n + 2)
    await flow(root, `data/${digits(n, 5)}_flow.flo`, truth(n))
  }
  writeFileSync(join(root, 'FlyingChairs_train_val.txt'), '1\n2\n1\n2\n')
  return [2, 4].map((n) => ({ name: digits(n, 5), frames: [n, n + 2], truth: n }))
}

async function things(root: string): Promise<readonly MadePair[]> {
  for (const scene of ['A/0000', 'B/0003'])
    for (let n = 6; n <= 8; n++) {
      await picture(root, `frames_cleanpass/TEST/${scene}/left/${digits(n, 4)}.png`, n)
      const name = `OpticalFlowIntoFuture_${digits(n, 4)}_L.pfm`
      await flow(root, `optical_flow/TEST/${scene}/into_future/left/${name}`, truth(n))
    }
  return ['A/0000', 'B/0003'].flatMap((scene) =>
    [6, 7].map((n) => ({ name: `${scene}/${digits(n, 4)}`, frames: [n, n + 1] as const, truth: n })),
  )
}

async function thingsSubset(root: string): Promise<readonly MadePair[]> {
  // Of two sequences: 0000003 is the last frame of the first one.
  for (const n of [2, 3, 5, 6]) {
    const name = digits(n, 7)
    await picture(root, `val/image_clean/left/${name}.png`, n)
    if (n !== 3) await flow(root, `val/flow/left/into_future/${name}.flo`, truth(n))
    await writeMap(place(root, `val/flow_occlusions/left/into_future/${name}.png`), OCCLUDED)
  }
  return [2, 5].map((n) => ({ name: digits(n, 7), frames: [n, n + 1], truth: n }))
}

async function middlebury(root: string): Promise<readonly MadePair[]> {
  const scenes = ['Dimetrodon', 'Venus']
  for (const [s, scene] of [...scenes, 'MiniCooper'].entries()) {
    await picture(root, `other-data/${scene}/frame10.png`, s)
    await picture(root, `other-data/${scene}/frame11.png`, s + 1)
    if (scene !== 'MiniCooper') await flow(root, `other-gt-flow/${scene}/flow10.flo`, truth(s))
  }
  return scenes.map((name, s) => ({ name, frames: [s, s + 1], truth: s }))
}

async function hd1k(root: string): Promise<readonly MadePair[]> {
  for (const sequence of [0, 7])
    for (let n = 0; n < 2; n++) {
      const name = `${digits(sequence, 6)}_${digits(n, 4)}.png`
      await picture(root, `hd1k_input/image_2/${name}`, n)
      await flow(root, `hd1k_flow_gt/flow_occ/${name}`, truth(n))
    }
  return [0, 7].map((sequence) => ({ name: `${digits(sequence, 6)}_0000`, frames: [0, 1], truth: 0 }))
}

/** Trees by the names of their data sets. */
export const TREES: Readonly<Record<string, Make>> = {
  sintel,
  kitti,
  spring,
  chairs,
  things,
  'things (subset)': thingsSubset,
  middlebury,
  hd1k,
}
