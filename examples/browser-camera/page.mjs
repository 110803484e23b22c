// Sends the frames of a video to the server, and draws the flow that comes back over it.

const WIDTH = 320 // of what is sent; the height follows
const HEADER = 12
/** Bytes that wait to be sent. With more, frames are left out: an old frame would only add latency. */
const MOST_WAITING = 1_000_000

/** @template {HTMLElement} E @param {string} id @param {new () => E} type @returns {E} */
function element(id, type) {
  const found = document.getElementById(id)
  if (!(found instanceof type)) throw new Error(`no ${id}`)
  return found
}
const video = element('video', HTMLVideoElement)
const canvas = element('flow', HTMLCanvasElement)
const file = element('file', HTMLInputElement)
const opacity = element('opacity', HTMLInputElement)
const show = (/** @type {string} */ id, /** @type {string} */ text) =>
  (element(id, HTMLElement).textContent = text)

// ---- frames out

const shot = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })

function sendFrame() {
  video.requestVideoFrameCallback(sendFrame)
  if (!shot || socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > MOST_WAITING) return
  const [width, height] = [WIDTH, Math.round((WIDTH * video.videoHeight) / video.videoWidth)]
  if (shot.canvas.width !== width || shot.canvas.height !== height)
    Object.assign(shot.canvas, { width, height })
  shot.drawImage(video, 0, 0, width, height)
  const message = new Uint8Array(HEADER + 4 * width * height)
  const header = new DataView(message.buffer)
  header.setFloat64(0, performance.now(), true)
  header.setUint16(8, width, true)
  header.setUint16(10, height, true)
  message.set(shot.getImageData(0, 0, width, height).data, HEADER)
  socket.send(message)
}
video.requestVideoFrameCallback(sendFrame)

const stop = (/** @type {MediaStream} */ stream) => stream.getTracks().forEach((track) => track.stop())
const fail = (/** @type {unknown} */ error) =>
  show('alert', error instanceof Error ? error.message : String(error))

/** The newest request wins: a camera may take long to open. */
let requests = 0

/** @param {() => Promise<MediaStream | string>} open gives a camera, or the address of a video */
async function play(open) {
  const request = ++requests
  show('alert', '')
  try {
    const source = await open()
    if (request !== requests) {
      if (typeof source !== 'string') stop(source)
      return
    }
    if (video.srcObject instanceof MediaStream) stop(video.srcObject)
    video.srcObject = typeof source === 'string' ? null : source
    if (typeof source === 'string') video.src = source
    await video.play()
  } catch (error) {
    if (request === requests) fail(error)
  }
}

async function openCamera() {
  if (!navigator.mediaDevices)
    throw new Error('Browsers give a camera to pages of localhost and https alone.')
  return navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } })
}
element('camera', HTMLButtonElement).onclick = () => play(openCamera)
file.onchange = () => {
  const [chosen] = file.files ?? []
  if (chosen) play(async () => URL.createObjectURL(chosen))
}
opacity.oninput = () => (canvas.style.opacity = opacity.value)

// ---- flow in

const socket = new WebSocket(location.href.replace(/^http/, 'ws'))
socket.binaryType = 'arraybuffer'
socket.onclose = ({ reason }) =>
  fail(
    reason === ''
      ? 'The server has ended. Start it, and load this page again.'
      : `The server refuses: ${reason}`,
  )

/** What the server says of the picture that comes next. */
let about = { timestamp: 0, width: 1, height: 1, confidence: 0, speed: 0, engine: 0, drops: 0 }
/** @type {number[]} when the flows of the last two seconds came */
const times = []

socket.onmessage = ({ data }) => {
  if (typeof data === 'string') {
    about = JSON.parse(data)
    return
  }
  const { timestamp, width, height, confidence, speed, engine, drops } = about
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height })
  canvas.getContext('2d')?.putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0)

  const now = performance.now()
  times.push(now)
  while (now - times[0] > 2000) times.shift()
  const fps = times.length > 1 ? (1000 * (times.length - 1)) / (now - times[0]) : 0
  show('fps', fps.toFixed(1))
  show('latency', `${Math.round(now - timestamp)} ms`)
  show('engine', `${Math.round(engine)} ms`)
  show('confidence', `${Math.round(100 * confidence)} %`)
  show('motion', `${speed.toFixed(1)} px/s`)
  show('dropped', String(drops))
}

play(openCamera)
