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

/** An RGB frame with pseudo-random pixels, which follow from `seed`. */
export function noise(width, height, seed) {
  const data = new Uint8Array(3 * width * height)
  let state = seed * 2654435761
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    data[i] = state >>> 24
  }
  return { data, width, height }
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
