import { describe, expect, it } from 'vitest'
import { FlowModel } from '../../lib/index.js'
import { randomFrom } from '../support/random.mjs'

const WIDTH = 384
const HEIGHT = 288
/** What moves, and as much around it as the flow's edge may reach. */
const OBJECT = { left: 140, top: 110, width: 100, height: 70, motion: 5 }
const REACH = 24

type Color = (y: number) => readonly [number, number, number]
const SKY: Color = (y) => [110 + 0.25 * y, 150 + 0.2 * y, 200 + 0.12 * y]
const NIGHT: Color = (y) => [14 + 0.01 * y, 14, 16]

/** A frame of a plain scene with noise of its own, and an object of noise that is the same in every frame. */
function frame(color: Color, sigma: number, seed: number, object?: number) {
  const noise = randomFrom(seed)
  const texture = randomFrom(99)
  // The sum of 12 numbers between 0 and 1 is nearly normal.
  const normal = () => Array.from({ length: 12 }, () => noise.next()).reduce((sum, value) => sum + value, -6)
  const values = new Float64Array(3 * WIDTH * HEIGHT)
  for (let i = 0; i < values.length; i++) values[i] = color(Math.floor(i / 3 / WIDTH))[i % 3]!
  if (object !== undefined)
    for (let y = 0; y < OBJECT.height; y += 2)
      for (let x = 0; x < OBJECT.width; x += 2) {
        const value = 60 + 140 * texture.next()
        for (const [dy, dx] of [
          [0, 0],
          [0, 1],
          [1, 0],
          [1, 1],
        ] as const) {
          const at = (OBJECT.top + y + dy) * WIDTH + OBJECT.left + x + dx + object
          values.fill(value, 3 * at, 3 * at + 3)
        }
      }
  const data = Uint8Array.from(values, (value) =>
    Math.min(255, Math.max(0, Math.round(value + sigma * normal()))),
  )
  return { data, width: WIDTH, height: HEIGHT }
}

describe('where nothing moves', () => {
  const scenes = [
    { scene: 'a sky', color: SKY },
    { scene: 'a night', color: NIGHT },
  ] as const
  const cases = [1, 4].flatMap((noise) => (['fast', 'default'] as const).map((refine) => ({ noise, refine })))

  it.for(scenes.flatMap((scene) => cases.map((each) => ({ ...scene, ...each }))))(
    'noise of $noise levels over $scene is no motion: refine $refine',
    async ({ color, noise, refine }) => {
      await using model = await FlowModel.load({ device: 'cpu' })
      const { x, y } = await model.flow(frame(color, noise, 1), frame(color, noise, 2), { refine })
      let sum = 0
      for (let i = 0; i < x.length; i++) sum += Math.hypot(x[i]!, y[i]!)
      expect(sum / x.length).toBeLessThan(0.3)
    },
  )

  it.for(cases)(
    'an object that moves takes no sky along with noise of $noise levels: refine $refine',
    async ({ noise, refine }) => {
      await using model = await FlowModel.load({ device: 'cpu' })
      const { x, y } = await model.flow(frame(SKY, noise, 1, 0), frame(SKY, noise, 2, OBJECT.motion), {
        refine,
      })
      let still = 0
      let count = 0
      let moving = 0
      for (let row = 0; row < HEIGHT; row++)
        for (let column = 0; column < WIDTH; column++) {
          const at = row * WIDTH + column
          const beside = (reach: number) =>
            row < OBJECT.top - reach ||
            row >= OBJECT.top + OBJECT.height + reach ||
            column < OBJECT.left - reach ||
            column >= OBJECT.left + OBJECT.width + OBJECT.motion + reach
          if (beside(REACH)) {
            still += Math.hypot(x[at]!, y[at]!)
            count++
          } else if (!beside(-REACH)) {
            moving = Math.max(moving, Math.hypot(x[at]! - OBJECT.motion, y[at]!))
          }
        }
      expect(still / count).toBeLessThan(0.5)
      expect(moving).toBeLessThan(0.5)
    },
  )
})
