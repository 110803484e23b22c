// The time of every stage of a frame, and its share of the machine's multiply-add peak: builds and runs stage_bench.cpp.
import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { ROOT } from './lib.mjs'

export function measureStages({ threads, frames }) {
  const build = path.join(ROOT, 'build', 'stage-bench')
  const cmake = (...args) => execFileSync('cmake', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  cmake('-S', ROOT, '-B', build, '-DFLOW_BENCH=ON', '-DFLOW_ADDON=OFF')
  cmake('--build', build, '--parallel', String(availableParallelism()))
  const options = [
    '--frames',
    String(frames),
    ...(threads === undefined ? [] : ['--threads', String(threads)]),
  ]
  return JSON.parse(execFileSync(path.join(build, 'stage_bench'), options, { encoding: 'utf8' }))
}
