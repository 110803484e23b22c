import { describe, expect, it } from 'vitest'
import { relativeL2, sameBits } from '../support/compare.js'
import { runScript } from '../support/child.js'
import { fixture, loadTiny, noiseFrame, readTensors, tensor } from '../support/fixtures.js'
import { skipIf } from '../support/skip.js'

interface Printed {
  readonly instructionSet?: string
  readonly flow?: string
  readonly code?: string
  readonly message?: string
}

async function flowWith(instructionSet: string): Promise<Printed> {
  const { stdout } = await runScript('print-flow.mjs', ['2'], { DINOV3_FLOW_ISA: instructionSet })
  return JSON.parse(stdout)
}

describe('a result', () => {
  it('does not depend on the number of threads, to the bit', async () => {
    const [a, b] = [noiseFrame(200, 120, 1), noiseFrame(200, 120, 2)]
    const models = await Promise.all([1, 2, 3, 8].map((threads) => loadTiny({ threads })))
    const [expected, ...others] = await Promise.all(models.map((model) => model.flow(a, b)))
    for (const other of others) expect(sameBits(other.data, expected!.data)).toBe(true)
    expect(models.map((model) => model.info.threads)).toEqual([1, 2, 3, 8])
    await Promise.all(models.map((model) => model.dispose()))
  })

  it.each(['sse2', 'avx2', 'avx512-split', 'avx512', 'neon'])(
    'is that of the oracle to 1e-5 with %s',
    async (instructionSet) => {
      const printed = await flowWith(instructionSet)
      if (printed.flow === undefined) {
        expect(printed.code).toBe('ERR_DEVICE')
        const available = /this machine runs ([\w, -]+)/.exec(printed.message!)![1]!
        expect(available.split(', ')).not.toContain(instructionSet)
        skipIf(true, `this machine has no ${instructionSet}, but ${available}`)
      }
      expect(printed.instructionSet).toBe(instructionSet)
      const bytes = Uint8Array.from(Buffer.from(printed.flow!, 'base64'))
      const golden = readTensors(fixture('tiny/activations.safetensors'))
      expect(relativeL2(new Float32Array(bytes.buffer), tensor(golden, 'head.flow'))).toBeLessThan(1e-5)
    },
  )
})

describe('an instruction set that is not there', () => {
  it('is refused, naming those that are', async () => {
    const printed = await flowWith('mmx')
    expect(printed.code).toBe('ERR_DEVICE')
    expect(printed.message).toMatch(/DINOV3_FLOW_ISA is 'mmx', but this machine runs \w/)
  })
})
