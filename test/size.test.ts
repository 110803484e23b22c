import { expect, test } from 'vitest'
import { resolveGrid } from '../lib/size.js'
import { flowError } from './support/compare.js'

const FRAME = { height: 480, width: 640 }

test('every size of the network is held against the limit of patches', () => {
  for (const size of ['seed', 'native', [640, 640]] as const) {
    expect(() => resolveGrid(size, FRAME, 1)).toThrow(flowError('ERR_ARGUMENT', 'more than 65536'))
    expect(resolveGrid(size, FRAME, 16).gridWidth).toBe(40)
  }
})
