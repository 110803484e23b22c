#!/usr/bin/env node
import { type Cli, EXIT } from './cli.js'
import { main } from './main.js'

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The reader of the stream, such as `head`, has closed it. The command goes on, because it may also write files.
    if (error.code !== 'EPIPE') throw error
  })
}

let interrupted: (() => void) | undefined
process.on('SIGINT', () => {
  const action = interrupted
  interrupted = undefined
  if (action === undefined) endBySignal()
  else action()
})

/** Ends the process at once, even during native work. */
function endBySignal(): void {
  // Without a listener the signal ends the process itself. So shells see the exit code that they expect (130), and stop
  // their scripts.
  process.removeAllListeners('SIGINT')
  process.kill(process.pid, 'SIGINT')
  // Only reached in the first process of a container, which ignores signals that have no listener.
  process.exit(EXIT.interrupted)
}

const cli: Cli = {
  out: process.stdout,
  err: process.stderr,
  debug: process.env['DINOV3_FLOW_DEBUG'] === '1',
  onInterrupt: (action) => (interrupted = action),
}
const code = await main(process.argv.slice(2), cli)
if (code === EXIT.interrupted) endBySignal()
process.exitCode = code
