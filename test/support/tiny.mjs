// For scripts of plain JavaScript: the tiny model of test/fixtures, loaded through dist.
import { setTimeout as sleep } from 'node:timers/promises'
import { FlowModel } from '../../dist/index.js'

const fixture = (name) => new URL(`../fixtures/tiny/${name}`, import.meta.url)

export const FRAMES = [fixture('frame1.png'), fixture('frame2.png')]

export function loadTiny(options = {}) {
  return FlowModel.load({
    backbone: fixture('backbone.safetensors'),
    head: fixture('head.safetensors'),
    ...options,
  })
}

/** An RGB frame of `side` x `side` pixels. */
export function plainFrame(side) {
  return { data: new Uint8Array(3 * side * side).fill(100), width: side, height: side }
}

/** Waits until `holds` returns true. If it never does, the test that runs the script kills it. */
export async function until(holds) {
  while (!holds()) await sleep(5)
}

/** Collects garbage until `holds` returns true. */
export function collectUntil(holds) {
  return until(() => {
    globalThis.gc()
    return holds()
  })
}
