// From the counts of a launch (test/emulator/count.h) to microseconds on a card. A prediction: nothing here was measured.
//
// Every resource is busy for its count over its rate, and a launch takes as long as its busiest resource. Resources of a
// multiprocessor are as busy as those of the one with the most blocks, ceil(blocks / multiprocessors). What is not in it:
// arithmetic other than mma and special functions, the issue of instructions, latency that too few warps hide. So it is a lower
// bound of a launch, and far below the truth for launches of few blocks.

/** Bytes. */
const SECTOR = 32
const LANES = 32
const SPECIAL_LANES = 16
const MMA_FLOP = 4096
/** Bytes from L2 that a multiprocessor takes in a cycle. */
const L2_PORT = 64
/** Share of the memory's bandwidth that a kernel can have. */
const MEMORY_SHARE = 0.9

/** What a launch counts; a line of counts.json leaves out zeros. */
const NOTHING = Object.fromEntries(
  `mma mma_k8 ldmatrix cp_async shuffles votes specials barriers
    shared_bytes shared_requests shared_wavefronts shared_read shared_least
    load_requests load_bytes load_sectors load_lines async_requests async_bytes async_sectors async_lines
    store_requests store_bytes store_sectors store_lines atomic_requests atomic_sectors
    l2_sectors l2_unused_bytes l2_new_bytes l2_first_bytes l2_dirty_bytes`
    .split(/\s+/)
    .map((name) => [name, 0]),
)

const sum = (values) => values.reduce((a, b) => a + b, 0)

/** FLOP of a launch that tensor cores do. */
export function flopOf(launch) {
  return launch.mma * MMA_FLOP + (launch.mma_k8 * MMA_FLOP) / 2
}

/**
 * Blocks that a multiprocessor of the card holds at a time.
 * @param {number} [registers] of a thread; unknown without nvcc, and then no limit
 */
export function residentBlocks(launch, card, registers) {
  const threads = launch.block[0] * launch.block[1] * launch.block[2]
  const warps = Math.ceil(threads / LANES)
  const limits = [
    card.blocks,
    Math.floor(card.threads / (warps * LANES)),
    Math.floor((card.shared * 1024) / (launch.shared_bytes + 1024)), // the driver takes 1 KiB of each block
  ]
  // A warp gets registers in units of 256.
  if (registers !== undefined)
    limits.push(Math.floor(65536 / (warps * Math.ceil((registers * LANES) / 256) * 256)))
  return Math.min(...limits)
}

/** Microseconds that each resource of the card is busy with a launch. `busy` is the share of multiprocessors that work. */
function resourcesOf(launch, card, busy) {
  const ofMultiprocessors = (cycles) => (cycles * cyclesToUs(card)) / busy
  const l2Bytes = launch.l2_sectors * SECTOR
  return {
    'tensor cores': ofMultiprocessors(flopOf(launch) / card.mma),
    // One memory is L1 and shared memory: a wavefront or a line in a cycle.
    'shared memory': ofMultiprocessors(launch.shared_wavefronts + launch.load_lines + launch.store_lines),
    'special functions': ofMultiprocessors((launch.specials * LANES) / SPECIAL_LANES),
    L2: Math.max(l2Bytes / (card.l2 * 1e3), ofMultiprocessors(l2Bytes / L2_PORT)),
    memory: memoryUs(launch.l2_new_bytes + launch.l2_dirty_bytes, card),
  }
}

/** Microseconds of a cycle of all multiprocessors. */
const cyclesToUs = (card) => 1 / (card.multiprocessors * card.clock * 1e3)
const memoryUs = (bytes, card) => bytes / (card.memory * MEMORY_SHARE * 1e3)

/** The launch, if its layouts had no bank conflict, and no sector in which nobody asks for a part. */
const withoutWaste = (launch) => ({
  ...launch,
  shared_wavefronts: launch.shared_least,
  l2_sectors: launch.l2_sectors - launch.l2_unused_bytes / SECTOR,
})

/**
 * The prediction of one launch, in microseconds.
 * @param {object} launch its counts, zeros included
 * @param {number} [registers] of a thread
 */
export function predictLaunch(launch, card, registers) {
  const blocks = launch.grid[0] * launch.grid[1] * launch.grid[2]
  const busy = blocks / (Math.ceil(blocks / card.multiprocessors) * card.multiprocessors)
  const resources = resourcesOf(launch, card, busy)
  const [limiter, us] = Object.entries(resources).reduce((a, b) => (b[1] > a[1] ? b : a))
  const usWithoutWaste = Math.max(...Object.values(resourcesOf(withoutWaste(launch), card, busy)))
  const resident = residentBlocks(launch, card, registers)
  return {
    resources,
    limiter,
    us,
    /** The share of `us` that bank conflicts and parts of sectors take. */
    waste: us > 0 ? 1 - usWithoutWaste / us : 0,
    /** All multiprocessors busy with the products alone, and every byte read from memory once. */
    perfectUs: Math.max(
      (flopOf(launch) / card.mma) * cyclesToUs(card),
      memoryUs(launch.l2_first_bytes + launch.l2_dirty_bytes, card),
    ),
    blocks,
    busy,
    residentBlocks: resident,
    waves: blocks / (resident * card.multiprocessors),
  }
}

/** Equal launches of a frame in one entry, in the order of their first: `times` says how many. */
export function mergeLaunches(lines) {
  const merged = new Map()
  for (const line of lines) {
    const key = JSON.stringify(line)
    const entry = merged.get(key) ?? { times: 0, ...line }
    entry.times++
    merged.set(key, entry)
  }
  return [...merged.values()]
}

/**
 * The prediction of a frame: its launches, with their predictions, and its sums in microseconds.
 * @param {object[]} nodes of mergeLaunches: launches, and copies
 * @param {Record<string, number>} registers by kernel; empty if unknown
 */
export function predictFrame(nodes, card, registers) {
  const launches = nodes
    .filter((node) => node.kernel !== undefined)
    .map((node) => {
      const launch = { ...NOTHING, ...node }
      return {
        ...launch,
        registers: registers[launch.kernel],
        ...predictLaunch(launch, card, registers[launch.kernel]),
      }
    })
  // Those of the host are no nodes of the frame's graph, nor is the filling of fresh memory.
  const copies = nodes.filter((node) => node.copy === 'cuMemcpyDtoDAsync')
  const nodeCount = sum([...launches, ...copies].map((node) => node.times))
  const copyUs = sum(copies.map((copy) => (copy.times * 2 * copy.bytes) / (card.memory * MEMORY_SHARE * 1e3)))
  const kernelUs = sum(launches.map((launch) => launch.times * launch.us)) + copyUs
  // A programmatic launch puts its blocks into their places while the node before runs.
  const gapBefore = (node) => (node.programmatic ? (card.programmaticGap ?? card.gap) : card.gap)
  const gapUs = sum([...launches, ...copies].map((node) => node.times * gapBefore(node)))
  const branch = pathOf(launches, 'branch', gapBefore)
  const beside = pathOf(launches, 'beside', gapBefore)
  // Two paths at once take as long as the longer one, and as the resource that both keep busy longest.
  const busiest = Math.max(
    0,
    ...Object.keys(branch.resources).map((name) => branch.resources[name] + beside.resources[name]),
  )
  const savedUs = branch.us + beside.us - Math.max(branch.us, beside.us, busiest)
  return {
    launches,
    nodes: nodeCount,
    /** The longest chain of nodes of which each waits for the one before. */
    dependentNodes: nodeCount - Math.min(branch.nodes, beside.nodes),
    kernelUs,
    gapUs,
    /** What the branch does while other launches run. */
    savedUs,
    frameUs: kernelUs + gapUs - savedUs,
    perfectUs: sum(launches.map((launch) => launch.times * launch.perfectUs)),
  }
}

/** The launches of a path: their nodes, their time with gaps, and how long each resource is busy. */
function pathOf(launches, path, gapBefore) {
  const all = launches.filter((launch) => launch.path === path)
  const busy = (name) => sum(all.map((launch) => launch.times * launch.resources[name]))
  return {
    nodes: sum(all.map((launch) => launch.times)),
    us: sum(all.map((launch) => launch.times * (launch.us + gapBefore(launch)))),
    resources: Object.fromEntries(
      Object.keys(launches[0]?.resources ?? {}).map((name) => [name, busy(name)]),
    ),
  }
}
