// Loads the tiny model on a device and prints what it runs on, or the error.
import { loadTiny } from './tiny.mjs'

const [device, precision = 'auto'] = process.argv.slice(2)
try {
  const { info } = await loadTiny({ device, precision })
  console.log(JSON.stringify(info))
} catch ({ code, message }) {
  console.log(JSON.stringify({ code, message }))
}
