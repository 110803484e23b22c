import { byteCount, count, duration } from '../amounts.js'
import { type Row, table } from '../table.js'
import type { Diagnosis } from './diagnose.js'
import type { NvidiaReport } from './nvidia.js'

/** Describes a diagnosis for people: the machine, whether its engines work, and remedies. */
export function describeDiagnosis(found: Diagnosis): string[] {
  const { engines, cpu, memory } = found
  const rows: Row[] = [
    ['version', `dinov3-flow ${found.version}, Node ${found.node}`],
    ['system', [found.platform, found.libc].filter((part) => part !== null).join(', ')],
    ['cpu', `${cpu.model}, ${count(cpu.threads, 'hardware thread')}`],
    ['memory', `${byteCount(memory.total)}, ${byteCount(memory.available)} of it free`],
    ['addon', found.addon ?? 'not found'],
    ['cpu engine', ...cpuEngine(engines.cpu)],
    ['cuda engine', ...cudaEngine(engines.cuda)],
    ['tensorrt', ...tensorRT(engines.tensorrt)],
  ]
  return [...table(rows), '', verdict(found)]
}

function cpuEngine(engine: Diagnosis['engines']['cpu']): string[] {
  if (!engine.works) return [`does not work (${engine.error.code}):`, ...engine.error.message.split('\n')]
  return [`works: ${engine.instructionSet}, ${count(engine.threads, 'thread')} (one per physical core)`]
}

function cudaEngine(engine: Diagnosis['engines']['cuda']): string[] {
  const kernels = engine.kernels === '' ? 'this build has no kernels' : `kernels for ${engine.kernels}`
  if (!engine.works)
    return [
      'not used: all computing is on the CPU',
      ...engine.error.message.split('\n'),
      kernels,
      ...nvidia(engine.nvidia),
    ]
  const { device, gpu } = engine
  const used = gpu.kernels.startsWith('sm_')
    ? `uses those for ${gpu.kernels}`
    : `uses ${gpu.kernels}, which the driver compiles at the first use`
  return [
    `works: ${device}, compute capability ${gpu.computeCapability}, ${byteCount(gpu.memory)}`,
    `driver for CUDA ${gpu.driver}, ${kernels}; ${used}`,
  ]
}

function tensorRT(engine: Diagnosis['engines']['tensorrt']): string[] {
  const { version, library } = engine
  const found = version === null || library === null ? [] : [`${version}, ${library}`]
  if (!engine.works)
    return [
      'not used: the backbone is computed by the kernels',
      ...engine.error.message.split('\n'),
      ...found,
    ]
  const [picture = 0, noise = 0] = engine.cosines
  const { kernels, tensorrt } = engine.milliseconds
  return [
    `works: ${found.join('')}`,
    `cosine of its features and the kernels' ${picture.toFixed(5)} for a picture, ${noise.toFixed(5)} for noise`,
    `${duration(tensorrt)} a frame of 64 x 48 pixels (kernels ${duration(kernels)})`,
  ]
}

/** Lines about the GPUs that the system reports, in addition to the engine's; none if there is no trace of a GPU. */
function nvidia({ libcuda, driver, gpus, reason }: NvidiaReport): string[] {
  if (!libcuda && driver === null) return []
  const name = driver === null ? 'NVIDIA driver' : `NVIDIA driver ${driver}`
  const devices = gpus.length === 0 ? '' : `: ${gpus.join(', ')}`
  if (libcuda) return [`${name} found${devices}`]
  return [
    `${name}${devices}, but libcuda.so.1 cannot be loaded (${reason}): in a container, pass the GPU through`,
  ]
}

function verdict({ ok }: Diagnosis): string {
  return ok ? 'All is well.' : 'Nothing can be computed until the CPU engine works.'
}
