import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { inspectCheckpoint } from '../../lib/checkpoint/inspect.js'
import { entriesOf, fixture, refusal, scratch, writeSafetensors } from './helpers.js'

const folder = scratch()

describe('an inspection', () => {
  test('of a backbone tells its architecture', () => {
    const found = inspectCheckpoint(fixture('tiny/backbone.pth'))
    expect(found).toMatchObject({
      format: 'torch-zip',
      kind: 'backbone',
      head: null,
      missing: [],
      problems: [],
    })
    expect(found.backbone).toMatchObject({ dim: 64, depth: 2, heads: 2 })
    expect(found.tensors).toContainEqual({ name: 'cls_token', dtype: 'float32', shape: [1, 1, 64] })
  })

  test('of a head lists the counters that training keeps, and calls them neither missing nor unused', () => {
    const found = inspectCheckpoint(fixture('tiny/head_legacy.pth'))
    expect(found).toMatchObject({
      format: 'torch-legacy',
      kind: 'head',
      backbone: null,
      unused: [],
      problems: [],
    })
    expect(found.head).toMatchObject({ proj: 32, refine: 1 })
    const nested = inspectCheckpoint(fixture('tiny/head_nested.pth'))
    expect(nested.tensors.some(({ dtype }) => dtype === 'int64')).toBe(true)
    expect(nested.unused).toEqual([])
  })

  test('of both tells both', () => {
    const path = writeSafetensors(join(folder, 'both.safetensors'), {
      ...entriesOf(fixture('tiny/backbone.safetensors'), (name) => `backbone.${name}`),
      ...entriesOf(fixture('tiny/head.safetensors'), (name) => `head.${name}`),
      extra: { shape: [1] },
    })
    const found = inspectCheckpoint(path)
    expect(found.kind).toBe('backbone+head')
    expect(found.backbone?.dim).toBe(found.head?.inChannels)
    expect(found.unused).toEqual(['extra'])
  })

  test('of an incomplete file lists what is wrong instead of throwing', () => {
    expect(inspectCheckpoint(fixture('hostile/missing_tensor.safetensors'))).toMatchObject({
      kind: 'head',
      head: null,
      missing: ['flow_head.1.weight'],
    })
    expect(inspectCheckpoint(fixture('hostile/wrong_shape.safetensors')).problems).toEqual([
      'tensor "flow_head.1.weight" has shape [48, 2, 1, 1] instead of [2, 48, 1, 1]',
    ])
  })

  test('of a backbone whose config.json is of no use says so, and tells what the shapes tell', () => {
    const found = inspectCheckpoint(fixture('tiny/backbone_hf.safetensors'), {
      backboneConfig: join(folder, 'none.json'),
    })
    expect(found.problems).toEqual([`${join(folder, 'none.json')}: no such file`])
    expect(found.kind).toBe('backbone')
    expect(found.metadata).toEqual({ format: 'pt' })
  })

  test('of something else lists its tensors', () => {
    const found = inspectCheckpoint(fixture('tiny/activations.safetensors'))
    expect(found.kind).toBe('unknown')
    expect(found.unused).toHaveLength(found.tensors.length)
    expect(found.tensors.length).toBeGreaterThan(10)
  })

  test('survives JSON', () => {
    const found = inspectCheckpoint(fixture('tiny/head.pth'))
    expect(JSON.parse(JSON.stringify(found))).toEqual(found)
  })

  test('of a file that cannot be read throws', () => {
    refusal(() => inspectCheckpoint(fixture('hostile/truncated.pth')), 'ERR_CHECKPOINT_FORMAT')
  })
})
