// Prints the flow of the tiny frames as base64, or the error if it could not be computed.
import { FRAMES, loadTiny } from './tiny.mjs'

try {
  const model = await loadTiny({ size: 'native', threads: Number(process.argv[2] ?? 1) })
  const { data } = await model.flow(...FRAMES)
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  console.log(JSON.stringify({ instructionSet: model.info.instructionSet, flow: bytes.toString('base64') }))
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message }))
}
