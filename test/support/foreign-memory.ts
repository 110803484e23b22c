import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The addon of test/support/foreign-memory.cpp. */
export interface Foreign {
  allocate(bytes: number, device: number): bigint
  allocateHost(bytes: number, device: number): bigint
  release(address: bigint): void
  write(address: bigint, bytes: Uint8Array): void
  read(address: bigint, bytes: Uint8Array): void
  createStream(device: number): bigint
  destroyStream(stream: bigint): void
  beginCapture(stream: bigint): void
  endCapture(stream: bigint): void
  queueWrite(address: bigint, bytes: Uint8Array, stream: bigint): void
  /** `bytes` must stay until the stream has done it. */
  queueRead(address: bigint, bytes: Uint8Array, stream: bigint): void
  finishStream(stream: bigint): void
}

/** Compiles the addon, and loads it. */
export function loadForeign(): Foreign {
  const folder = mkdtempSync(join(tmpdir(), 'dinov3-flow-'))
  try {
    const require = createRequire(import.meta.url)
    const { include_dir } = require('node-api-headers') as { readonly include_dir: string }
    const file = join(folder, 'foreign-memory.node')
    const source = fileURLToPath(new URL('foreign-memory.cpp', import.meta.url))
    const args = ['-std=c++20', '-shared', '-fPIC', '-I', include_dir, '-o', file, source]
    const compiled = spawnSync(process.env['CXX'] ?? 'c++', args, { encoding: 'utf8' })
    if (compiled.status !== 0 || compiled.stderr !== '') throw new Error(`${source}: ${compiled.stderr}`)
    return require(file) as Foreign
  } finally {
    rmSync(folder, { recursive: true })
  }
}
