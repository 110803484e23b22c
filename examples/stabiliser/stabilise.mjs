import { parseArgs } from 'node:util'
import { FlowField, FlowModel, globalMotion, Homography, warp } from 'dinov3-flow'
import { checkOutput, isLive, probe, readFrames, writeVideo } from '../common/ffmpeg.mjs'
import { numberOf, program, progress, say, UsageError } from '../common/program.mjs'

const USAGE = `
Usage: node stabilise.mjs <in> -o <out.mp4>

Takes the shake out of a video. Its sound is kept.

  -o, --output <file>  .mp4, .mkv or .mov
  --smooth <seconds>   of motion that are averaged: more is calmer, and follows the camera less (default: 1)
  --crop <percent>     of the width and height to cut off (default: as much as is needed, at most 20)
  --preset <name>      of the flow: fast, balanced or best (default: fast)
  -h, --help
`
const MOST_CROP = 20
/** A motion is taken from the flow if at least this share of its sure pixels follow it. */
const LEAST_INLIERS = 0.2

/**
 * The motion of the camera from each frame to the next; null at a cut, and where too few pixels tell.
 *
 * @param {string} input
 * @param {import('../common/ffmpeg.mjs').Video} video
 * @param {FlowModel} model
 */
async function cameraMotions(input, video, model) {
  /** @type {(Homography | null)[]} */
  const motions = []
  const stream = model.stream({ confidence: true, sceneCut: true })
  for await (const result of stream.from(readFrames(input, video, 'rgb24'))) {
    const motion = result.flow && globalMotion(result.flow, { ...result, model: 'similarity' })
    motions.push(motion && motion.inliers >= LEAST_INLIERS ? motion.homography : null)
    progress(`${motions.length} motions`)
  }
  stream.close()
  return motions
}

/**
 * Where each frame belongs: where its neighbours see it, smoothed (Matsushita et al., Full-frame video stabilization with motion
 * inpainting, 2006, section 3). No path is summed up, so nothing drifts, and a cut ends the neighbourhood. A line is fitted, weighted by a
 * bell, so that a camera that goes evenly goes on so at the ends; within a video that is the mean.
 *
 * @param {readonly (Homography | null)[]} motions from each frame to the next
 * @param {number} deviation of the bell, in frames
 * @returns {Homography[]} from a frame to its stable place
 */
function stablePlaces(motions, deviation) {
  const radius = Math.ceil(2 * deviation)
  return Array.from({ length: motions.length + 1 }, (_, frame) => {
    const neighbours = [{ k: 0, place: Homography.IDENTITY, weight: 1 }]
    for (const step of [1, -1]) {
      let place = Homography.IDENTITY
      for (let k = step; Math.abs(k) <= radius; k += step) {
        const motion = step === 1 ? motions[frame + k - 1] : motions[frame + k]?.inverse()
        if (!motion) break
        place = place.followedBy(motion)
        neighbours.push({ k, place, weight: Math.exp(-0.5 * (k / deviation) ** 2) })
      }
    }
    const moment = (/** @type {number} */ n) =>
      neighbours.reduce((sum, { k, weight }) => sum + weight * k ** n, 0)
    const [first, second] = [moment(1), moment(2) || 1]
    const sum = new Float64Array(9)
    for (const { k, place, weight } of neighbours)
      place.matrix.forEach((value, i) => (sum[i] += weight * (second - k * first) * value))
    return new Homography(sum) // divides by the sum of the weights, which is the last value
  })
}

/**
 * The motions from a place of the output to the frame. The output is enlarged about its centre, so that borders stay outside.
 *
 * @param {readonly Homography[]} places
 * @param {number} crop the part of each side that is cut off
 * @param {{ width: number, height: number }} size
 */
function views(places, crop, { width, height }) {
  const [x, y] = [(crop * (width - 1)) / 2, (crop * (height - 1)) / 2]
  const enlarge = new Homography([1 - crop, 0, x, 0, 1 - crop, y, 0, 0, 1])
  return places.map((place) => enlarge.followedBy(place.inverse()))
}

/** @type {(view: Homography, size: { width: number, height: number }) => boolean} whether a view has no border */
const isInside = (view, { width: w, height: h }) =>
  [view.apply(0, 0), view.apply(w - 1, 0), view.apply(0, h - 1), view.apply(w - 1, h - 1)].every(
    ({ x, y }) => x >= -0.5 && x <= w - 0.5 && y >= -0.5 && y <= h - 0.5,
  )

await program(
  USAGE,
  () =>
    parseArgs({
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o' },
        smooth: { type: 'string', default: '1' },
        crop: { type: 'string' },
        preset: { type: 'string', default: 'fast' },
        help: { type: 'boolean', short: 'h' },
      },
    }),
  async ({ values: { output, smooth, crop: given, preset }, positionals: [input, ...others] }) => {
    if (input === undefined || others.length > 0 || output === undefined)
      throw new UsageError('give a video, and an output by -o')
    if (isLive(input)) throw new UsageError(`${input}: give a file, which is read twice`)
    checkOutput(output, input)
    const seconds = numberOf('--smooth', smooth, 0.01, 60)
    let crop = given === undefined ? 0 : numberOf('--crop', given, 0, 90) / 100
    const video = await probe(input)
    const model = await FlowModel.load({ preset: /** @type {'fast'} */ (preset) })
    const motions = await cameraMotions(input, video, model)
    await model.dispose()

    const places = stablePlaces(motions, (seconds * video.framesPerSecond) / 2)
    const fits = () => views(places, crop, video).every((view) => isInside(view, video))
    if (given === undefined) while (crop < MOST_CROP / 100 && !fits()) crop += 0.005

    const seen = views(places, crop, video)
    const writer = writeVideo(output, video, 'rgb24', input)
    const field = new FlowField(video.width, video.height)
    let count = 0
    for await (const frame of readFrames(input, video, 'rgb24')) {
      const view = seen[count++] ?? Homography.IDENTITY
      await writer.write(
        warp(frame, view.field(video.width, video.height, { into: field }), { border: 'edge' }),
      )
      progress(`${count} of ${seen.length} frames`)
    }
    await writer.end()
    const cuts = motions.filter((motion) => motion === null).length
    say(
      `${output}: ${count} frames, ${(100 * crop).toFixed(1)} % cropped${cuts ? `, ${cuts} without a motion` : ''}`,
    )
  },
)
