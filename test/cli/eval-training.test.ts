import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { FlowErrors } from '../../lib/index.js'
import { figure } from '../support/figures.js'
import { need } from '../support/skip.js'
import { TREES } from './data-sets.js'
import { call, scratch, TINY } from './helpers.js'

const path = scratch()
const TRAINING = fileURLToPath(new URL('../../training', import.meta.url))
const PYTHON = '/usr/bin/python3'

/** As the evaluation of training names them: percentages that are off by more. */
interface Figures {
  readonly epe: number
  readonly out1: number
  readonly out3: number
  readonly out5: number
  readonly fl_all: number
}

test('figures of Sintel and KITTI are those of the evaluation of training', { tags: ['slow'] }, async () => {
  const hasTorch = spawnSync(PYTHON, ['-c', 'import cv2, torch, tqdm']).status === 0
  need(hasTorch, "Python with torch and cv2: Debian's python3-torch, python3-opencv, python3-tqdm")
  const roots = { sintel: path('sintel'), kitti: path('kitti') }
  for (const [name, root] of Object.entries(roots)) {
    mkdirSync(root)
    await TREES[name]!(root)
  }
  const load = { backbone: TINY.backbone, head: TINY.head, size: 'native', device: 'cpu' }
  const suites = ['sintel clean', 'sintel final', 'kitti']
  const data = ['--sintel', roots.sintel, '--kitti', roots.kitti]
  const only = suites.flatMap((suite) => ['--only', suite])
  const method = ['--package', `tiny=${JSON.stringify({ load })}`, '--threads', '1', '--device', 'cpu']
  const args = ['-m', 'dinov3_flow.evaluation', ...data, ...only, ...method, '-o', path('figures')]
  const { status, stderr } = spawnSync(PYTHON, args, { cwd: TRAINING, encoding: 'utf8' })
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
  const figures = JSON.parse(readFileSync(path('figures/figures.json'), 'utf8')) as Record<
    string,
    { readonly tiny: Figures }
  >

  const model = ['--backbone', TINY.backbone, '--head', TINY.head, '--size', 'native', '--device', 'cpu']
  for (const suite of suites) {
    const [name, pass] = suite.split(' ') as ['sintel' | 'kitti', string?]
    const part = pass === undefined ? [] : ['--pass', pass]
    const json = path('ours.json')
    expect(await call('eval', name, roots[name], ...part, ...model, '--json', json)).toMatchObject({
      code: 0,
    })
    const { all } = JSON.parse(readFileSync(json, 'utf8')) as { readonly all: FlowErrors }
    const { tiny } = figures[suite]!
    const over = (share: number) => 100 * (1 - share)
    const ours = {
      epe: all.epe,
      out1: over(all.px1),
      out3: over(all.px3),
      out5: over(all.px5),
      fl_all: all.flAll,
    }
    const differences = (Object.keys(ours) as (keyof Figures)[]).map((key) => Math.abs(ours[key] - tiny[key]))
    figure(`eval: ${suite}, figures against those of training, worst (px, %)`, Math.max(...differences), 1e-3)
    expect(tiny.epe).toBeGreaterThan(1)
  }
})
