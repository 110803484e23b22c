import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { FlowError } from '../../../errors.js'
import type { BenchFrames } from '../frames.js'
import type { OpenCvContender } from './contender.js'
import type { Target } from './target.js'

/**
 * Takes all frames once, as RGB, and then numbers: for each it converts that frame to grey, and computes the flow from the frame
 * before to it. Answers with the milliseconds of both.
 */
const PROGRAM = `
import sys, time
try:
    import cv2, numpy as np
except ImportError as error:
    sys.exit(f'no OpenCV: {error}')
preset, threads, count, height, width = sys.argv[1], *map(int, sys.argv[2:])
if threads > 0:
    cv2.setNumThreads(threads)
size = height * width * 3
frames = [np.frombuffer(sys.stdin.buffer.read(size), np.uint8).reshape(height, width, 3) for _ in range(count)]
start = time.perf_counter()
dis = cv2.DISOpticalFlow_create(getattr(cv2, 'DISOPTICAL_FLOW_PRESET_' + preset.upper()))
print(1000 * (time.perf_counter() - start), cv2.__version__, cv2.getNumThreads(), flush=True)
before = None
for line in sys.stdin.buffer:
    start = time.perf_counter()
    gray = cv2.cvtColor(frames[int(line)], cv2.COLOR_RGB2GRAY)
    if before is not None:
        dis.calc(before, gray, None)
    print(1000 * (time.perf_counter() - start), flush=True)
    before = gray
`

/**
 * OpenCV's DIS (Kroeger et al., 2016) in a Python of its own, which keeps running. Only its computation is timed, by its own clock.
 *
 * @param python a Python with cv2
 * @throws {FlowError} `ERR_NATIVE` if there is no such Python
 */
export async function openCvTarget(
  { name, preset }: OpenCvContender,
  python: string,
  threads: number | null,
  frames: BenchFrames,
): Promise<Target> {
  const { width, height, list } = frames
  const args = [preset, threads ?? 0, list.length, height, width].map(String)
  const child = spawn(python, ['-c', PROGRAM, ...args])
  const answers = new Answers(child, name, python)
  for (const { data } of list) child.stdin.write(data)
  const [load, version, used] = (await answers.next()).split(' ')
  let turn: Promise<unknown> = Promise.resolve()
  return {
    name,
    info: { engine: 'OpenCV DIS', version, preset, threads: Number(used) },
    load: Number(load),
    push(stream, index) {
      if (stream > 0) throw new FlowError('ERR_ARGUMENT', `${name}: computes one stream only`)
      const answer = turn.then(() => {
        child.stdin.write(`${frames.at(index)}\n`)
        return answers.next()
      })
      turn = answer.catch(() => {})
      return answer.then((text) => ({ own: Number(text) }))
    },
    async close() {
      answers.expectEnd()
      child.stdin.end()
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

/** The lines that the child prints. Its end fails whoever waits. */
class Answers {
  readonly #lines: AsyncIterator<string>
  readonly #failed: Promise<never>
  #ending = false

  constructor(child: ChildProcessWithoutNullStreams, name: string, python: string) {
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    let said = ''
    child.stderr.on('data', (bytes: Buffer) => (said = (said + bytes.toString()).slice(-2000)))
    child.stdin.on('error', () => {}) // its end says more
    this.#failed = new Promise((_, reject) => {
      const fail = (why: string, cause?: unknown) => {
        if (this.#ending) return
        const remedy =
          'give a Python that has OpenCV with --python (Debian: apt-get install python3-opencv, then /usr/bin/python3)'
        reject(new FlowError('ERR_NATIVE', `${name}: ${python} ${why}: ${remedy}`, { cause }))
      }
      child.on('error', (cause) => fail(`cannot be started, ${(cause as NodeJS.ErrnoException).code}`, cause))
      child.on('close', (code, signal) => {
        const why = /no OpenCV: .*/.exec(said)?.[0] ?? said.trim().split('\n').at(-1)
        fail(`ended with ${signal ?? code}${why === undefined || why === '' ? '' : ` (${why})`}`)
      })
    })
    this.#failed.catch(() => {})
  }

  expectEnd(): void {
    this.#ending = true
  }

  async next(): Promise<string> {
    // The end of the output comes before the reason for it.
    const line = this.#lines.next().then((read) => (read.done === true ? this.#failed : read.value))
    return Promise.race([line, this.#failed])
  }
}
