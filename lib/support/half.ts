/** The largest finite value of float16. What rounds to more is infinity. */
const INFINITE = 0x477ff000
const SMALLEST_NORMAL = 0x38800000
/** 0.5, whose unit in the last place as a float32 is that of float16's subnormal numbers. */
const HALF = 0x3f000000

/** Rounds to float16 (IEEE 754 binary16), to nearest, ties to even. What is too large becomes infinity. */
export function toHalf(values: Float32Array): Uint16Array {
  const from = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const scratch = new Float32Array(1)
  const scratchBits = new Uint32Array(scratch.buffer)
  const to = new Uint16Array(values.length)
  for (let i = 0; i < to.length; i++) {
    const bits = from[i]!
    const magnitude = bits & 0x7fffffff
    let half: number
    if (magnitude >= INFINITE) half = magnitude > 0x7f800000 ? 0x7e00 : 0x7c00
    else if (magnitude < SMALLEST_NORMAL) {
      scratchBits[0] = magnitude
      scratch[0] = scratch[0]! + 0.5
      half = scratchBits[0] - HALF
    } else half = (magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13
    to[i] = ((bits >>> 16) & 0x8000) | half
  }
  return to
}

/**
 * Widens float16, exactly.
 *
 * @param to memory for as many values
 */
export function fromHalf(bits: Uint16Array, to = new Float32Array(bits.length)): Float32Array {
  const toBits = new Uint32Array(to.buffer, to.byteOffset, to.length)
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i]!
    const magnitude = half & 0x7fff
    if (magnitude < 0x400) to[i] = magnitude * 2 ** -24
    else toBits[i] = (magnitude << 13) + (magnitude >= 0x7c00 ? 0x70000000 : 0x38000000)
    toBits[i]! |= (half & 0x8000) << 16
  }
  return to
}

/** Rounds to bfloat16, to nearest, ties to even, and widens again. Values must be finite. */
export function toBfloat16(values: Float32Array): Float32Array {
  const rounded = values.slice()
  const bits = new Uint32Array(rounded.buffer)
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i]! + 0x7fff + ((bits[i]! >>> 16) & 1)) & 0xffff0000
  return rounded
}
