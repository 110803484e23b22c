import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { colorWheelLegend, encodePng, FlowModel, flowToColor } from 'dinov3-flow'
import { numberOf, program, UsageError } from '../common/program.mjs'

const USAGE = `
Usage: node server.mjs

Serves a page that shows the flow of a camera, or of a video file, over its picture.

  --port <n>       0 takes any that is free (default: 8080)
  --preset <name>  of the flow: fast, balanced or best (default: fast)
  -h, --help

Only this machine can open the page: browsers give a camera to pages of localhost and https alone.
`
/** A message of the page: the time of a frame, its width and height, and its pixels in rgba. All numbers are little-endian. */
const HEADER = 12
const MOST_PIXELS = 1920 * 1080
/** Pictures that wait for a slow connection, in bytes. More are left out. */
const MOST_WAITING = 4_000_000

/** @returns {{ timestamp: number, frame: import('dinov3-flow').Frame }} */
function readMessage(/** @type {Buffer} */ message) {
  if (message.length < HEADER) throw new Error('a message has 12 bytes of header')
  const [timestamp, width, height] = [
    message.readDoubleLE(0),
    message.readUInt16LE(8),
    message.readUInt16LE(10),
  ]
  return { timestamp, frame: { data: message.subarray(HEADER), width, height, format: 'rgba' } }
}

/**
 * The flow in colours, and as opaque as it is long and sure: what stands still shows the video.
 *
 * @param {import('dinov3-flow').FlowResult} result
 * @param {number} scale the length of the full colour, in pixels
 */
function pictureOf({ flow, confidence }, scale) {
  const { x, y, width, height } = flow
  const colors = flowToColor(flow, { scale }).data
  const rgba = Buffer.alloc(4 * width * height)
  let sum = 0
  for (let i = 0; i < width * height; i++) {
    const [vx, vy, sure] = [x[i], y[i], confidence?.data[i] ?? 0]
    rgba[4 * i] = colors[3 * i]
    rgba[4 * i + 1] = colors[3 * i + 1]
    rgba[4 * i + 2] = colors[3 * i + 2]
    rgba[4 * i + 3] = 220 * sure * Math.min(1, Math.sqrt(vx * vx + vy * vy) / 2)
    sum += sure
  }
  return { rgba, confidence: sum / (width * height) }
}

/** Answers the frames of one page with flow. */
function serve(/** @type {import('ws').WebSocket} */ socket, /** @type {FlowModel} */ model) {
  const stream = model.stream({ confidence: true, queue: { depth: 1, policy: 'drop-oldest' } })
  let scale = 2
  socket.on('close', () => stream.close())
  socket.on('error', () => undefined) // `close` follows
  socket.on('message', async (message) => {
    try {
      const { timestamp, frame } = readMessage(/** @type {Buffer} */ (message))
      const result = await stream.push(frame, { timestamp })
      if (!result?.flow || socket.bufferedAmount > MOST_WAITING) return
      // The full colour follows the motion at once, and comes back slowly.
      const { mean, p99 } = result.flow.magnitude()
      const speed = (1000 * mean) / (timestamp - result.from.timestamp)
      scale = Math.max(2, 1.25 * p99, 0.97 * scale)
      const { rgba, confidence } = pictureOf(result, scale)
      const { width, height } = result.flow
      const { dropped } = stream.stats()
      const drops = Object.values(dropped).reduce((sum, count) => sum + count, 0)
      const { engine } = result.timing
      socket.send(JSON.stringify({ timestamp, width, height, confidence, speed, engine, drops }))
      socket.send(rgba)
    } catch (error) {
      if (!stream.closed) socket.close(1008, String(/** @type {Error} */ (error).message).slice(0, 100))
    }
  })
}

await program(
  USAGE,
  () =>
    parseArgs({
      options: {
        port: { type: 'string', default: '8080' },
        preset: { type: 'string', default: 'fast' },
        help: { type: 'boolean', short: 'h' },
      },
    }),
  async ({ values: { port, preset } }) => {
    const { WebSocketServer } = await import('ws')
    const model = await FlowModel.load({ preset: /** @type {'fast'} */ (preset) })
    const file = (/** @type {string} */ name) => readFile(new URL(name, import.meta.url))
    /** @type {Record<string, [type: string, body: Uint8Array]>} */
    const pages = {
      '/': ['text/html; charset=utf-8', await file('page.html')],
      '/page.mjs': ['text/javascript; charset=utf-8', await file('page.mjs')],
      '/wheel.png': ['image/png', await encodePng(colorWheelLegend(160))],
    }
    const server = createServer(({ url = '' }, response) => {
      const [type, body] = pages[new URL(url, 'http://localhost').pathname] ?? []
      response.writeHead(type ? 200 : 404, { 'content-type': type ?? 'text/plain' }).end(body ?? 'not found')
    })
    const sockets = new WebSocketServer({
      server,
      maxPayload: HEADER + 4 * MOST_PIXELS,
      // Pages of other sites must not use this server.
      verifyClient: (
        /** @type {{ origin: string, req: import('node:http').IncomingMessage }} */ { origin, req },
      ) => URL.canParse(origin) && new URL(origin).host === req.headers.host,
    })
    sockets.on('connection', (socket) => serve(socket, model))
    server.listen(numberOf('--port', port, 0, 65535), 'localhost')
    await once(server, 'listening').catch((error) => {
      throw error.code === 'EADDRINUSE'
        ? new UsageError(`port ${port} is in use: give another by --port`)
        : error
    })
    const address = /** @type {import('node:net').AddressInfo} */ (server.address())
    console.log(`http://localhost:${address.port}  (Ctrl-C ends it)`)
  },
)
