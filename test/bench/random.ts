/** Repeatable pseudo-random numbers: a linear congruential generator, and Box and Muller. */
export function random(seed: number): { uniform(): number; normal(): number } {
  let state = seed >>> 0
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  for (let i = 0; i < 10; i++) uniform() // seeds that are neighbours begin alike
  return {
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  }
}
