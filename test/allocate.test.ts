import { expect, test } from 'vitest'
import { FlowField } from '../lib/flow-field.js'
import { allocateBytes, allocateFloats } from '../lib/support/allocate.js'
import { flowError } from './support/compare.js'

test('a field that no memory can hold is refused as such', () => {
  expect(() => new FlowField(2 ** 20, 2 ** 20)).toThrow(flowError('ERR_OUT_OF_MEMORY', '1048576 x 1048576'))
  expect(() => allocateFloats(2 ** 50, 'a test')).toThrow(flowError('ERR_OUT_OF_MEMORY', 'a test takes'))
  expect(() => allocateBytes(2 ** 53, 'a picture')).toThrow(
    flowError('ERR_OUT_OF_MEMORY', 'a picture takes 9007199254740992 bytes'),
  )
})
