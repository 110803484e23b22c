import { parseArgs } from 'node:util'
import { FlowModel, loadImage, savePng } from 'dinov3-flow'
import { numberOf, program, progress, say, UsageError } from '../common/program.mjs'
import { segment } from './nearest.mjs'

const USAGE = `
Usage: node segment.mjs <picture> <picture>... --thing <x,y,radius>... -o <out.png>

Follows things through pictures of one size: each place belongs to what it is most like in the first picture. Says of each thing how
large it is, and how it moves from one picture to the next. Draws the pictures with the things in colours, side by side.

  -o, --output <file>      .png
  --thing <x,y,radius>     a circle of the first picture, in pixels from its left upper corner; once for each thing, at most 8
  --device <name>          auto, cpu or cuda (default: auto)
  --backbone <file>        weights of another model; with --head
  --head <file>
  -h, --help
`
const COLORS = [
  [255, 70, 60],
  [60, 140, 255],
  [255, 200, 40],
  [60, 200, 90],
  [200, 90, 255],
  [50, 210, 220],
  [255, 130, 200],
  [150, 110, 60],
]

/**
 * @param {import('dinov3-flow').RgbImage} frame
 * @param {{ width: number, height: number, data: Uint8Array }} labels of patches
 * @returns the label of each pixel
 */
function labelPixels({ width, height }, labels) {
  const pixels = new Uint8Array(width * height)
  for (let y = 0, i = 0; y < height; y++) {
    const row = Math.floor((y * labels.height) / height) * labels.width
    for (let x = 0; x < width; x++) pixels[i++] = labels.data[row + Math.floor((x * labels.width) / width)]
  }
  return pixels
}

/**
 * The share of the picture that a thing covers, and the median of its motion.
 *
 * @param {Uint8Array} labels of pixels
 * @param {number} label
 * @param {import('dinov3-flow').FlowField | null} flow from the picture before; null for the first
 */
function describe(labels, label, flow) {
  const count = labels.reduce((count, other) => count + Number(other === label), 0)
  const share = `${label}: ${((100 * count) / labels.length).toFixed(1)} %`
  if (flow === null || count === 0) return share
  const [x, y] = [0, labels.length].map((plane) =>
    flow.data
      .subarray(plane, plane + labels.length)
      .filter((_, pixel) => labels[pixel] === label)
      .sort()
      [count >> 1].toFixed(1),
  )
  return `${share}, by ${x},${y} px`
}

/**
 * @param {readonly import('dinov3-flow').RgbImage[]} frames of one size
 * @param {readonly Uint8Array[]} labels of their pixels
 */
function draw(frames, labels) {
  const [{ width, height }] = frames
  const picture = {
    data: new Uint8Array(3 * width * height * frames.length),
    width: width * frames.length,
    height,
  }
  for (const [n, { data }] of frames.entries())
    for (let i = 0; i < width * height; i++) {
      const to = 3 * (Math.floor(i / width) * picture.width + n * width + (i % width))
      const color = COLORS[labels[n][i] - 1]
      for (let c = 0; c < 3; c++)
        picture.data[to + c] = color ? 0.4 * data[3 * i + c] + 0.6 * color[c] : data[3 * i + c]
    }
  return picture
}

await program(
  USAGE,
  () =>
    parseArgs({
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o' },
        thing: { type: 'string', multiple: true, default: [] },
        device: { type: 'string', default: 'auto' },
        backbone: { type: 'string' },
        head: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }),
  async ({ values: { output, thing, device, backbone, head }, positionals: paths }) => {
    if (paths.length === 0 || output === undefined || thing.length === 0 || thing.length > COLORS.length)
      throw new UsageError(`give pictures, 1 to ${COLORS.length} things by --thing, and an output by -o`)
    if (device !== 'auto' && device !== 'cpu' && device !== 'cuda')
      throw new UsageError(`--device: must be auto, cpu or cuda, not '${device}'`)
    const frames = await Promise.all(paths.map((path) => loadImage(path)))
    const [{ width, height }] = frames
    const other = frames.findIndex((frame) => frame.width !== width || frame.height !== height)
    if (other >= 0) throw new UsageError(`${paths[other]}: is not of the size of ${paths[0]}`)
    const things = thing.map((text) => {
      const [x = '', y = '', radius = '', ...more] = text.split(',')
      if (radius === '' || more.length > 0) throw new UsageError(`--thing: must be x,y,radius, not '${text}'`)
      return {
        x: numberOf('--thing', x, 0, width - 1),
        y: numberOf('--thing', y, 0, height - 1),
        radius: numberOf('--thing', radius, 1, Math.max(width, height)),
      }
    })
    const labelAt = (/** @type {number} */ x, /** @type {number} */ y) =>
      things.findIndex((thing) => Math.hypot(x - thing.x, y - thing.y) < thing.radius) + 1

    const model = await FlowModel.load({ device, backbone, head, size: 'fit' })
    /** @type {Uint8Array[]} */
    const segments = []
    for await (const { flow, labels } of segment(model, frames, labelAt)) {
      const of = segments.push(labelPixels(frames[segments.length], labels)) - 1
      say(`${paths[of]}  ${things.map((_, i) => describe(segments[of], i + 1, flow)).join('  ')}`)
      progress(`${of + 1} of ${frames.length}`)
    }
    await model.dispose()
    await savePng(output, draw(frames, segments))
    say(`${output}: ${frames.length} pictures`)
  },
)
