// What predict.mjs computes with: the counts of a stream's frame on the emulated driver, and the registers of its kernels.
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from '../lib.mjs'
import { mergeLaunches } from './predict.mjs'

const BUILD = path.join(ROOT, 'build', 'tests-count') // npm run test:native -- --count builds there, too
const OUTPUT = { stdio: ['ignore', 'ignore', 'inherit'] }

/** Builds the counter. */
export function buildCounter() {
  const options = ['-DFLOW_TESTS=ON', '-DFLOW_BENCH=ON', '-DFLOW_ADDON=OFF', '-DFLOW_CUDA=OFF']
  execFileSync('cmake', ['-S', ROOT, '-B', BUILD, '-DFLOW_EMULATOR_MODE=count', ...options], OUTPUT)
  const targets = ['--target', 'cuda_emu', 'count_frame']
  execFileSync('cmake', ['--build', BUILD, '--parallel', String(availableParallelism()), ...targets], OUTPUT)
}

/**
 * The nodes of one frame on a card, in fp16, equal ones merged. The division into blocks is the card's own. Takes one core.
 * @param {import('./cards.mjs').Card} card
 */
export async function countFrame(card, { height, width }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'flow-count-'))
  const file = path.join(folder, 'counts')
  const env = {
    ...process.env,
    DINOV3_FLOW_CUDA_DRIVER: path.join(BUILD, 'test', 'emulator', 'libcuda_emu.so'),
    EMULATOR_CAPABILITY: card.capability,
    EMULATOR_SMS: String(card.multiprocessors),
    EMULATOR_L2: String(card.l2MiB * 2 ** 20),
  }
  try {
    const size = ['--height', String(height), '--width', String(width)]
    const program = path.join(BUILD, 'bench', 'gpu', 'count_frame')
    await promisify(execFile)(program, ['--counts', file, ...size], { env })
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    return mergeLaunches(lines.map((line) => withoutZeros(JSON.parse(line))))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const withoutZeros = (counts) => Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0))

/**
 * The registers of a thread, by kernel, that ptxas gives the kernels for a card's machine code. Undefined without nvcc.
 * @param {string[]} files of kernels/, without their folder
 * @param {string} image "sm_90"
 */
export function registersOf(files, image) {
  if (spawnSync('nvcc', ['--version']).error !== undefined) return undefined
  const folder = mkdtempSync(path.join(tmpdir(), 'flow-registers-'))
  const ptx = path.join(folder, 'kernel.ptx')
  // As tools/cmake/kernels.cmake: one PTX serves the capabilities 8.0 to 8.9, one 9.0, and one those from 10.0 on.
  const number = Number(image.slice(3))
  const architecture = number >= 100 ? 'compute_100' : number >= 90 ? 'compute_90' : 'compute_80'
  const registers = {}
  try {
    for (const file of files) {
      const source = path.join(ROOT, 'kernels', file)
      execFileSync('nvcc', ['-ptx', '-std=c++20', '-O3', `-arch=${architecture}`, '-o', ptx, source], OUTPUT)
      const { stderr } = spawnSync('ptxas', ['-v', '-O3', `-arch=${image}`, '-o', '/dev/null', ptx], {
        encoding: 'utf8',
      })
      for (const [, kernel, count] of stderr.matchAll(
        /Compiling entry function '(\w+)'[\s\S]*?Used (\d+) registers/g,
      ))
        registers[kernel] = Number(count)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  return registers
}
