// The frame rate of `dinov3-flow video`, from a coded clip to a coded video, against that of a bare stream on the same frames,
// decoded before: in turns, with the package's own model. And the memory of a long video.
//
//   node bench/video.mjs [CLIP] [--turns N] [--preset balanced] [--json FILE]
//   node bench/video.mjs --memory [--frames 5000]
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { FlowModel } from 'dinov3-flow'
import { circumstances, percentile, ROOT, saveReport } from './lib.mjs'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    turns: { type: 'string', default: '5' },
    preset: { type: 'string', default: 'balanced' },
    look: { type: 'string', multiple: true, default: [] }, // such as overlay
    memory: { type: 'boolean', default: false },
    frames: { type: 'string', default: '5000' },
    json: { type: 'string' },
  },
})
const PROGRAM = path.join(ROOT, 'dist/cli/index.js')
const folder = mkdtempSync(path.join(tmpdir(), 'bench-video-'))
const output = path.join(folder, 'flow.mp4')

/** All frames of a clip, as the command decodes them. */
function decode(clip) {
  const probe = [
    '-v',
    'error',
    '-select_streams',
    'v:0',
    '-show_entries',
    'stream=width,height',
    '-of',
    'csv=p=0',
    clip,
  ]
  const [width, height] = execFileSync('ffprobe', probe, { encoding: 'utf8' }).trim().split(',').map(Number)
  const raw = ['-v', 'error', '-i', clip, '-f', 'rawvideo', '-pix_fmt', 'nv12', 'pipe:1']
  const bytes = execFileSync('ffmpeg', raw, { maxBuffer: 2 ** 31 })
  const size = (width * height * 3) / 2
  return Array.from({ length: bytes.length / size }, (_, i) => ({
    data: bytes.subarray(i * size, (i + 1) * size),
    width,
    height,
    format: 'nv12',
  }))
}

/** Seconds of processor time of the children that have ended, and of theirs. Linux alone tells. */
function childrenSeconds() {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ')
  return (Number(fields[13]) + Number(fields[14])) / 100
}

/** Frames per second of a stream, from the first push to the last flow, and seconds of processor time. */
async function bare(model, frames) {
  const stream = model.stream({ sceneCut: true }) // as the command
  const begin = performance.now()
  const before = process.cpuUsage()
  let flows = 0
  for await (const { flow } of stream.from(frames)) if (flow !== null) flows++
  stream.close()
  if (flows !== frames.length - 1) throw new Error(`${flows} flows of ${frames.length} frames`)
  const { user, system } = process.cpuUsage(before)
  return { fps: frames.length / ((performance.now() - begin) / 1000), cpu: (user + system) / 1e6 }
}

/** The report of the command, and its seconds of processor time. */
function command(clip, ...part) {
  const look = options.look.map((name) => `--${name}`)
  const args = ['video', clip, '-o', output, '--preset', options.preset, '--json', ...look, ...part]
  const before = childrenSeconds()
  const text = execFileSync(process.execPath, [PROGRAM, ...args], { encoding: 'utf8' })
  return { ...JSON.parse(text), cpu: childrenSeconds() - before }
}

/** A made-up clip of 640 x 480 that moves everywhere: a zoom into the Mandelbrot set. */
function makeClip() {
  const clip = path.join(folder, 'mandelbrot.mp4')
  const source = ['-f', 'lavfi', '-i', 'mandelbrot=s=640x480:r=30', '-frames:v', '120']
  execFileSync('ffmpeg', ['-v', 'error', ...source, '-pix_fmt', 'yuv420p', clip])
  return clip
}

async function compare([clip = makeClip()]) {
  const frames = decode(clip)
  const model = await FlowModel.load({ preset: options.preset })
  await bare(model, frames.slice(0, 5))
  // Loading the model, and starting programs. Two frames are among it.
  const start = command(clip, '--end', '0.05').cpu
  const turns = []
  for (let turn = 0; turn < Number(options.turns); turn++) {
    const first = turn % 2 === 0 ? await bare(model, frames) : undefined
    const { fps, cpu } = command(clip)
    const stream = first ?? (await bare(model, frames))
    turns.push({ stream: stream.fps, video: fps, ratio: fps / stream.fps, cpu: stream.cpu / (cpu - start) })
    const percent = `${((100 * fps) / stream.fps).toFixed(1)} %`
    const cost = `processor time ${stream.cpu.toFixed(2)} and ${(cpu - start).toFixed(2)} s`
    console.log(`stream ${stream.fps.toFixed(2)} fps, video ${fps.toFixed(2)} fps: ${percent}; ${cost}`)
  }
  const median = (name) =>
    percentile(
      turns.map((turn) => turn[name]),
      0.5,
    )
  const ratio = median('ratio')
  console.log(
    `medians of ${turns.length} turns of ${frames.length} frames: ${(100 * ratio).toFixed(1)} % of the frame rate of the stream`,
  )
  console.log(
    `the stream takes ${(100 * median('cpu')).toFixed(1)} % of the processor time of the command without its start`,
  )
  const { engine, device, threads } = model.info
  await model.dispose()
  return {
    clip: path.basename(clip),
    frames: frames.length,
    preset: options.preset,
    engine,
    device,
    threads,
    turns,
    ratio,
  }
}

/** Resident memory of the command during a long video, in MB, and of the processes that it starts. */
async function memory() {
  const source = `testsrc2=s=64x48:r=100:d=${Number(options.frames) / 100}`
  const clip = path.join(folder, 'long.mkv')
  execFileSync('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', source, '-c:v', 'mpeg4', '-y', clip])
  const args = ['video', clip, '-o', output, '--preset', 'fast', '--overlay', '--occlusion', '--json']
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (part) => (text += part))
  const samples = []
  const timer = setInterval(() => {
    const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))
    if (rss !== null) samples.push(Math.round(Number(rss[1]) / 1024))
  }, 250)
  await new Promise((resolve) => child.on('close', resolve))
  clearInterval(timer)
  const at = (part) => samples[Math.min(samples.length - 1, Math.floor(part * samples.length))]
  const { frames, fps } = JSON.parse(text)
  const parts = [0.1, 0.25, 0.5, 0.75, 0.99].map((part) => ({ part, megabytes: at(part) }))
  console.log(`${frames} frames at ${fps.toFixed(0)} fps; resident MB:`)
  for (const { part, megabytes } of parts) console.log(`  after ${Math.round(100 * part)} %: ${megabytes}`)
  return { frames, fps, most: Math.max(...samples), parts }
}

try {
  const results = options.memory ? await memory() : await compare(positionals)
  saveReport(options.json, {
    ...circumstances(`node bench/video.mjs ${process.argv.slice(2).join(' ')}`),
    ...results,
  })
} finally {
  rmSync(folder, { recursive: true, force: true })
}
