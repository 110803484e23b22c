import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { AnsweredNo, type Cli, printLines } from '../cli.js'
import { PACKAGE_ROOT } from '../package.js'
import { findTools } from './tools.js'

interface BuildFlags {
  /** CMake's options for the kernels. */
  readonly cuda: readonly string[]
}

export function addBuild(program: Command, cli: Cli): void {
  program
    .command('build')
    .summary('build the addon from source')
    .description(
      'Builds the addon from source, in the folder of this package. What is built goes before the binaries that the ' +
        'package brings. Needs CMake, a compiler for C++20 and the headers of Node-API, and says which of them is missing.',
    )
    .option(
      '--cuda <auto|off|ARCHS>',
      'kernels for the GPUs of this machine if there is an nvcc, for none, or for a list such as 87 or 80,90a',
      parseCuda,
      parseCuda('auto'),
    )
    .argument('[options...]', "options of CMake's, after --, such as -DCMAKE_CXX_COMPILER=clang++")
    .configureHelp({ optionDescription: ({ description }) => description })
    .action((options: readonly string[], { cuda }: BuildFlags) => build([...cuda, ...options], cli))
}

function parseCuda(text: string): readonly string[] {
  // An earlier build's list is forgotten, so that the environment's CUDAARCHS counts again.
  if (text === 'auto') return ['-DFLOW_CUDA=AUTO', '-UFLOW_CUDA_ARCHITECTURES']
  if (text === 'off') return ['-DFLOW_CUDA=OFF', '-UFLOW_CUDA_ARCHITECTURES']
  if (!/^\d+[af]?(-real|-virtual)?([,;]\d+[af]?(-real|-virtual)?)*$/.test(text))
    throw new InvalidArgumentError(
      'It must be auto, off, or compute capabilities without a dot: 87 or 80,90a.',
    )
  return ['-DFLOW_CUDA=ON', `-DFLOW_CUDA_ARCHITECTURES=${text.replaceAll(',', ';')}`]
}

function build(options: readonly string[], { out, err }: Cli): void {
  const tools = findTools()
  if (!('headers' in tools)) {
    const lines = tools.flatMap(({ what, remedy }) => [`  ${what}`, `      ${remedy}`])
    printLines(err, ['A build from source needs what is not there:', ...lines])
    throw new AnsweredNo()
  }
  const folder = join(PACKAGE_ROOT, 'build')
  // CMake refuses to change the generator of a folder.
  const generator = existsSync(join(folder, 'CMakeCache.txt')) ? [] : ['-G', tools.generator]
  const headers = `-DFLOW_NODE_HEADERS=${tools.headers.join(';')}`
  cmake('-S', PACKAGE_ROOT, '-B', folder, ...generator, '-DCMAKE_BUILD_TYPE=Release', headers, ...options)
  cmake('--build', folder, '--target', 'dinov3_flow', '--parallel', String(availableParallelism()))
  printLines(out, [`Built ${join(folder, 'Release', 'dinov3_flow.node')}`, 'Test it: npx dinov3-flow doctor'])
}

/** CMake says itself what failed. Its output is progress, so it goes to stderr. */
function cmake(...args: readonly string[]): void {
  const { status } = spawnSync('cmake', args, { cwd: PACKAGE_ROOT, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new AnsweredNo()
}
