import { parseArgs } from 'node:util'
import { FlowModel } from 'dinov3-flow'
import { checkOutput, probe, readFrames, writeVideo } from '../common/ffmpeg.mjs'
import { numberOf, program, progress, say, UsageError } from '../common/program.mjs'
import { follow, openSimilarity } from './similarity.mjs'

const USAGE = `
Usage: node follow.mjs <in> --point <x,y> -o <out.mp4>

Follows the thing at a point of the first frame through a video, also behind other things. Shows it by a ring, green while it is
seen, and in white how alike each place is.

  -o, --output <file>  .mp4, .mkv or .mov
  --point <x,y>        in pixels of the first frame, from its left upper corner
  --lost <cosine>      features less alike than this are another thing (default: 0.4)
  --found <cosine>     features at least as alike as this are the thing again (default: 0.7)
  -h, --help
`
/** @typedef {{ width: number, height: number, data: Float32Array }} Map */

/**
 * Draws the similarities over a frame, and a ring around the point.
 *
 * @param {import('../common/ffmpeg.mjs').VideoFrame} frame
 * @param {Map} map
 * @param {{ x: number, y: number, seen: boolean }} point
 */
function draw({ data, width, height }, map, point) {
  const radius = Math.max(6, height / 24)
  const ring = point.seen ? [0, 230, 80] : [255, 60, 40]
  for (let y = 0, i = 0; y < height; y++) {
    const row = Math.floor((y * map.height) / height) * map.width
    for (let x = 0; x < width; x++) {
      const alike = map.data[row + Math.floor((x * map.width) / width)]
      const light = Math.max(0, alike - 0.35)
      // A line that is as wide as a tenth of the radius, and soft at its rims.
      const line = Math.max(
        0,
        1 - Math.max(0, Math.abs(Math.hypot(x - point.x, y - point.y) - radius) - radius / 10),
      )
      for (let c = 0; c < 3; c++, i++) {
        const lit = 0.6 * data[i] + light * (255 - 0.6 * data[i])
        data[i] = lit + line * (ring[c] - lit)
      }
    }
  }
}

await program(
  USAGE,
  () =>
    parseArgs({
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o' },
        point: { type: 'string' },
        lost: { type: 'string', default: '0.4' },
        found: { type: 'string', default: '0.7' },
        help: { type: 'boolean', short: 'h' },
      },
    }),
  async ({ values: { output, point, ...given }, positionals: [input, ...others] }) => {
    if (input === undefined || others.length > 0 || output === undefined || point === undefined)
      throw new UsageError('give a video, a point by --point, and an output by -o')
    checkOutput(output, input)
    const lost = numberOf('--lost', given.lost, -1, 1)
    const found = numberOf('--found', given.found, -1, 1)
    const [x = '', y = '', ...more] = point.split(',')
    if (more.length > 0) throw new UsageError(`--point: must be x,y, not '${point}'`)
    const similarityOf = await openSimilarity()
    const video = await probe(input)
    const start = {
      x: numberOf('--point', x, 0, video.width - 1),
      y: numberOf('--point', y, 0, video.height - 1),
    }

    const model = await FlowModel.load({ size: 'fit' })
    const writer = writeVideo(output, video, 'rgb24', input)
    let [count, seen] = [0, true]
    for await (const step of follow(model, similarityOf, readFrames(input, video, 'rgb24'), start, {
      lost,
      found,
    })) {
      const { frame, point, similarity, map } = step
      const at = `${(count / video.framesPerSecond).toFixed(2)} s`
      if (point.seen !== seen)
        say(`${at}: ${point.seen ? `found at ${Math.round(point.x)},${Math.round(point.y)}` : 'lost'}`)
      seen = point.seen
      draw(frame, map, point)
      await writer.write(frame)
      progress(`${at}  similarity ${similarity.toFixed(2)}`)
      count += 1
    }
    await writer.end()
    await model.dispose()
    say(`${output}: ${count} frames`)
  },
)
