// Figures of cards for the predictions of predict.mjs. None was measured here.
//
//   multiprocessors, clock (GHz), capability, memory (GB/s), L2 (MiB): the makers' data sheets and white papers; for Jetsons in
//     the fastest power mode, for Thor also what its driver reports (forums.developer.nvidia.com/t/356355)
//   mma: FLOP of mma.sync in a cycle of a multiprocessor, 16-bit factors and float32 sums. It is the peak of the data sheet, but
//     for Hopper 0.62 of it, what mma.sync reaches without wgmma (Luo et al., arXiv:2402.13499), and for Thor A100's: an
//     assumption, since its peak is reached by tcgen05 alone
//   l2: GB/s from L2 to all multiprocessors. H200, A100, RTX 4090: about what microbenchmarks of H100 PCIe, A100 and RTX 4090
//     found (chipsandcheese.com, 2022 and 2023). Jetsons: 32 bytes a cycle and multiprocessor, an assumption
//     Neither 0.62 nor the rates of L2 were read again in their sources when this was written.
//   gap: microseconds from the end of a node of a graph to the first data in the blocks of the next, an assumption
//   programmaticGap: the same before a programmatic launch, whose blocks wait in their places. The end of the node before must
//     still become known to them, and the first data must come. That this takes half of the gap is an assumption. Publications
//     give speedups of whole models only: 10 % of the generation of tokens, with CUDA graphs (github.com/ggml-org/llama.cpp,
//     pull request 22522)
//   threads, blocks: most on a multiprocessor (CUDA programming guide, table of compute capabilities); shared: KiB on it

/**
 * @typedef {object} Card
 * @property {string} name
 * @property {string} capability
 * @property {string} image the machine code it runs, as nvcc calls it
 * @property {number} multiprocessors
 * @property {number} clock GHz
 * @property {number} mma
 * @property {number} memory GB/s
 * @property {number} l2 GB/s
 * @property {number} l2MiB
 * @property {number} gap microseconds
 * @property {number} [programmaticGap] microseconds; from compute capability 9.0 on
 * @property {number} threads
 * @property {number} blocks
 * @property {number} shared KiB
 */

/** @type {Record<string, Card>} */
export const CARDS = {
  h200: {
    name: 'H200',
    capability: '9.0',
    image: 'sm_90',
    multiprocessors: 132,
    clock: 1.83,
    mma: 2540,
    memory: 4800,
    l2: 5500,
    l2MiB: 50,
    gap: 1.7,
    programmaticGap: 0.85,
    threads: 2048,
    blocks: 32,
    shared: 228,
  },
  a100: {
    name: 'A100 80 GB',
    capability: '8.0',
    image: 'sm_80',
    multiprocessors: 108,
    clock: 1.41,
    mma: 2048,
    memory: 2039,
    l2: 4000,
    l2MiB: 40,
    gap: 2,
    threads: 2048,
    blocks: 32,
    shared: 164,
  },
  'rtx-4090': {
    name: 'RTX 4090',
    capability: '8.9',
    image: 'sm_89',
    multiprocessors: 128,
    clock: 2.52,
    mma: 512,
    memory: 1008,
    l2: 5000,
    l2MiB: 72,
    gap: 1.6,
    threads: 1536,
    blocks: 24,
    shared: 100,
  },
  'orin-agx': {
    name: 'Orin AGX 64 GB',
    capability: '8.7',
    image: 'sm_87',
    multiprocessors: 16,
    clock: 1.3,
    mma: 2048,
    memory: 204.8,
    l2: 666,
    l2MiB: 4,
    gap: 4,
    threads: 1536,
    blocks: 16,
    shared: 164,
  },
  'orin-nano': {
    name: 'Orin Nano 8 GB',
    capability: '8.7',
    image: 'sm_87',
    multiprocessors: 8,
    clock: 1.02,
    mma: 2048,
    memory: 102,
    l2: 261,
    l2MiB: 2,
    gap: 4,
    threads: 1536,
    blocks: 16,
    shared: 164,
  },
  thor: {
    name: 'Thor T5000',
    capability: '11.0',
    image: 'sm_110',
    multiprocessors: 20,
    clock: 1.57,
    mma: 2048,
    memory: 273,
    l2: 1005,
    l2MiB: 32,
    gap: 3,
    programmaticGap: 1.5,
    threads: 1536,
    blocks: 24,
    shared: 228,
  },
}
