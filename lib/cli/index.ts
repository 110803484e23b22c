#!/usr/bin/env node
import type { Cli } from './cli.js'
import { main } from './main.js'

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The reader, `head` for one, has seen enough. The work goes on: what it writes to files was asked for, too.
    if (error.code !== 'EPIPE') throw error
  })
}

process.once('SIGINT', () => {
  // Without a listener the signal ends the process at once, as shells want to see it (130), even amid native work.
  process.kill(process.pid, 'SIGINT')
  // Still here: the first process of a container ignores signals without a listener.
  process.exit(130)
})

const cli: Cli = {
  out: process.stdout,
  err: process.stderr,
  debug: process.env['DINOV3_FLOW_DEBUG'] === '1',
}
process.exitCode = await main(process.argv.slice(2), cli)
