#!/usr/bin/env node
import type { Cli } from './cli.js'
import { main } from './main.js'

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The reader of the stream, such as `head`, has closed it. The command goes on, because it may also write files.
    if (error.code !== 'EPIPE') throw error
  })
}

process.once('SIGINT', () => {
  // `once` has removed this listener. So the signal now ends the process at once, even during native work, and shells
  // see the exit code that they expect (130).
  process.kill(process.pid, 'SIGINT')
  // Only reached in the first process of a container, which ignores signals that have no listener.
  process.exit(130)
})

const cli: Cli = {
  out: process.stdout,
  err: process.stderr,
  debug: process.env['DINOV3_FLOW_DEBUG'] === '1',
}
process.exitCode = await main(process.argv.slice(2), cli)
