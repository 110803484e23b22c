// Makes a kernel launch fail in the middle of a frame, and prints the errors of that call and of the next ones.
import { FRAMES, loadTiny } from './tiny.mjs'

const model = await loadTiny({ device: 'cuda' })
process.env.EMULATOR_FAIL = 'cuLaunchKernel:5'
const errors = []
for (let call = 0; call < 3; call++)
  await model.flow(...FRAMES).catch(({ code, message }) => errors.push({ code, message }))
console.log(JSON.stringify(errors))
await model.dispose()
