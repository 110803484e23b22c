// The predictions of predict.mjs for the cards of cards.mjs: as tables for BUDGET.md, and as data for report.py.
import { CARDS } from './cards.mjs'
import { flopOf, predictFrame } from './predict.mjs'
import { LIMIT, REASONS, checkReasons, familyOf, wastefulOf } from './waste.mjs'

const ms = (us) => (us / 1e3).toFixed(2)
const us = (value) => value.toFixed(1)
const percent = (share) => `${Math.round(100 * share)} %`
const row = (cells) => `| ${cells.join(' | ')} |`

/** Columns of numbers are aligned to the right. */
function table(headings, rows, texts = 1) {
  const rules = headings.map((_, i) => (i < texts ? '---' : '---:'))
  return [row(headings), row(rules), ...rows.map(row)].join('\n')
}

function summary(frames) {
  return table(
    [
      'card',
      'nodes',
      'dependent',
      'launches, ms',
      'gaps, ms',
      'side by side, ms',
      'frame, ms',
      'before',
      'before / now',
      'perfect launches, ms',
    ],
    frames.map(({ card, frame, before }) => [
      card.name,
      frame.nodes,
      frame.dependentNodes,
      ms(frame.kernelUs),
      ms(frame.gapUs),
      frame.savedUs > 0 ? `-${ms(frame.savedUs)}` : '–',
      `**${ms(frame.frameUs)}**`,
      ms(before.frameUs),
      (before.frameUs / frame.frameUs).toFixed(2),
      ms(frame.perfectUs),
    ]),
  )
}

/** Microseconds of all launches, by family of kernels, longest first. */
function families(frame) {
  const sums = new Map()
  for (const { kernel, times, us } of frame.launches)
    sums.set(familyOf(kernel), (sums.get(familyOf(kernel)) ?? 0) + times * us)
  return sums
}

/** What the launches of each family take, before and now. */
function beforeAndNow(frames) {
  const sums = frames.map(({ frame, before }) => ({ before: families(before), now: families(frame) }))
  const names = new Set(sums.flatMap(({ before, now }) => [...before.keys(), ...now.keys()]))
  const most = (name) => Math.max(...sums.map(({ before }) => before.get(name) ?? 0))
  const cell = (sum) => (sum === undefined ? '–' : us(sum))
  return table(
    ['kernel', ...frames.map(({ card }) => card.name)],
    [...names]
      .toSorted((a, b) => most(b) - most(a))
      .map((name) => [
        `\`${name}\``,
        ...sums.map(({ before, now }) => `${cell(before.get(name))} → ${cell(now.get(name))}`),
      ]),
  )
}

function figures(cards) {
  return table(
    [
      'card',
      'capability',
      'multiprocessors',
      'GHz',
      'mma FLOP / cycle',
      'memory GB/s',
      'L2 GB/s',
      'L2 MiB',
      'gap µs',
      'programmatic gap µs',
    ],
    cards.map((card) => [
      card.name,
      card.capability,
      card.multiprocessors,
      card.clock,
      card.mma,
      card.memory,
      card.l2,
      card.l2MiB,
      card.gap,
      card.programmaticGap ?? '–',
    ]),
  )
}

/** Share of the wavefronts that are bank conflicts. */
const conflictsOf = (launch) =>
  launch.shared_wavefronts > 0 ? 1 - launch.shared_least / launch.shared_wavefronts : 0

/** Bytes of shared memory for each mma: all, and those that are read. The rest are copies to shared memory. */
const sharedPerMma = (launch, wavefronts) =>
  launch.mma > 0 && wavefronts > 0 ? String(Math.round((wavefronts * 128) / launch.mma)) : '–'

/** Share of the bytes between L1 and L2 that lanes ask for. */
const sectorUse = (launch) =>
  launch.l2_sectors > 0 ? 1 - launch.l2_unused_bytes / (32 * launch.l2_sectors) : 1

/** Launches of a kernel that differ only in what is new to L2 are one row. */
function groupLaunches(launches) {
  const groups = new Map()
  for (const launch of launches) {
    const key = `${launch.kernel} ${launch.grid} ${launch.mma}`
    const group = groups.get(key) ?? { ...launch, times: 0, allUs: 0, perfectUs: 0, longest: 0 }
    group.times += launch.times
    group.allUs += launch.times * launch.us
    group.perfectUs += launch.times * launch.perfectUs
    if (launch.times * launch.us > group.longest) {
      group.longest = launch.times * launch.us
      group.limiter = launch.limiter
      group.l2_new_bytes = launch.l2_new_bytes
    }
    groups.set(key, group)
  }
  return [...groups.values()].toSorted((a, b) => b.allUs - a.allUs)
}

function launches(frame) {
  return table(
    [
      'kernel',
      'limiter',
      'launches',
      'µs each',
      'µs in all',
      'perfect',
      'GFLOP',
      'MB new to L2',
      'MB from L2',
      'blocks',
      'busy',
      'per multiprocessor',
      'waves',
      'threads',
      'registers',
      'shared B / mma',
      'read',
      'conflicts',
      'sector use',
      'waste',
    ],
    groupLaunches(frame.launches).map((launch) => [
      `\`${launch.kernel}\``,
      launch.limiter,
      launch.times,
      us(launch.allUs / launch.times),
      us(launch.allUs),
      us(launch.perfectUs),
      (flopOf(launch) / 1e9).toFixed(2),
      (launch.l2_new_bytes / 1e6).toFixed(2),
      ((32 * launch.l2_sectors) / 1e6).toFixed(1),
      launch.blocks,
      percent(launch.busy),
      launch.residentBlocks,
      launch.waves.toFixed(1),
      launch.block[0] * launch.block[1] * launch.block[2],
      launch.registers ?? '–',
      sharedPerMma(launch, launch.shared_wavefronts),
      sharedPerMma(launch, launch.shared_read),
      percent(conflictsOf(launch)),
      percent(sectorUse(launch)),
      percent(launch.waste),
    ]),
    2,
  )
}

/** The share of the launches' time that each resource limits. */
function limiters(frames) {
  const names = ['tensor cores', 'shared memory', 'special functions', 'L2', 'memory']
  return table(
    ['card', ...names],
    frames.map(({ card, frame }) => {
      const all = frame.launches.reduce((total, launch) => total + launch.times * launch.us, 0)
      const limited = (name) =>
        frame.launches
          .filter((launch) => launch.limiter === name)
          .reduce((total, launch) => total + launch.times * launch.us, 0)
      return [card.name, ...names.map((name) => percent(limited(name) / all))]
    }),
  )
}

/** The exceptions to waste of at most LIMIT, each with its reason. */
function waste(predicted) {
  const wasteful = wastefulOf(predicted)
  checkReasons(wasteful, REASONS)
  return table(
    ['kernel', 'why', 'worst on', 'of the launch', 'of the frame'],
    wasteful.map(({ family, waste, card, share }) => [
      `\`${family}\``,
      REASONS[family],
      card,
      `${(100 * waste).toFixed(1)} %`,
      `${(100 * share).toFixed(2)} %`,
    ]),
    3,
  )
}

/** The prediction of each card's frame. */
function predict({ frames, registers }) {
  return Object.entries(frames).map(([id, nodes]) => {
    const card = CARDS[id]
    return { id, card, frame: predictFrame(nodes, card, registers[card.image] ?? {}) }
  })
}

/**
 * What report.py holds measured times against: launches by kernel and grid, as launch_times tells them.
 * @param {object} counts counts.json
 */
export function predictions(counts) {
  const cards = predict(counts).map(({ card, frame }) => {
    const launches = new Map()
    for (const { kernel, grid, times, us, limiter } of frame.launches) {
      const key = `${kernel} ${grid}`
      const entry = launches.get(key) ?? { kernel, grid, times: 0, us: 0, limiter }
      launches.set(key, { ...entry, times: entry.times + times, us: entry.us + times * us })
    }
    const { name, capability, multiprocessors, gap } = card
    const { nodes, kernelUs, gapUs, frameUs } = frame
    const each = [...launches.values()].map((entry) => ({ ...entry, us: rounded(entry.us / entry.times) }))
    const sums = { nodes, kernelUs: rounded(kernelUs), gapUs: rounded(gapUs), frameUs: rounded(frameUs) }
    return { name, capability, multiprocessors, ordinaryGapUs: gap, ...sums, launches: each }
  })
  return { height: counts.height, width: counts.width, precision: 'fp16', cards }
}

const rounded = (value) => Number(value.toPrecision(4))

/**
 * @param {object} counts counts.json
 * @param {object} countsBefore those of the kernels that the predictions are compared with
 * Throws if a kernel that wastes time has no reason in waste.mjs, or a reason there has no such kernel.
 */
export function renderBudget(counts, countsBefore) {
  const { height, width } = counts
  const before = Object.fromEntries(predict(countsBefore).map(({ id, frame }) => [id, frame]))
  const predicted = predict(counts).map((one) => ({ ...one, before: before[one.id] }))
  return `<!-- Generated by npm run bench:model. Change the programs, not this file. -->

# Budget of a frame: predictions

What one frame of a stream should cost in fp16 at ${height} x ${width}, with the seed's configuration (ViT-S+ and its light head).
**Every time here is a prediction. Nothing was measured: no card was at hand.** The counts are exact for the kernels as g++
compiles them, and for the model of the caches below; nvcc may load and store in other pieces. The rates of the cards are figures
of others, and assumptions where [cards.mjs](cards.mjs) says so. Those of L2 are the least certain, and where L2 limits they decide.

${summary(predicted)}

A launch takes as long as its busiest resource. That is a lower bound: arithmetic outside of tensor cores, the issue of
instructions and latency are not in it, so launches of few blocks will take longer. The perfect launches do the same products
on all multiprocessors at once, and read from memory once what was not in L2 before; they have no gaps. "Dependent" is the
longest chain of nodes of which each waits for the one before. "Side by side" is what a branch of the frame's graph hides.

"Before" is the same prediction for the kernels when they were first counted (commit a1882bb, [its counts](counts-before.json)).

## Before and now, by kernel

Microseconds in a frame, of all launches of a kernel's instances, without gaps:

${beforeAndNow(predicted)}

## What limits, by time

${limiters(predicted)}

## Waste that is left

Bank conflicts and unused bytes of sectors cost at most ${100 * LIMIT} % of a launch, on every card, except in these kernels. The
reasons are in [waste.mjs](waste.mjs).

${waste(predicted)}

## How it is counted

- The emulated driver's count build runs the frame's kernels as each card would get them: its tiles, its splits, its cache
  (\`test/emulator/count.h\`). \`count_test\` holds the counter to kernels whose counts are known by hand.
- Every block of a launch is counted; nothing is scaled. Of launches that are equal in all but addresses, such as those of the
  twelve layers, two are run, and the second stands for the others.
- L2 is empty of weights at first, as it is where other work, or the weights themselves (58 MB), do not fit. It holds whole
  sectors of 32 bytes and drops what came first.
- Registers are ptxas's. "Per multiprocessor" is how many blocks fit at once, by registers, threads and shared memory. "Busy"
  is the share of multiprocessors that work when each block takes equally long.
- "Shared B / mma" is what passes through shared memory for each mma, and "read" the part that is read; the rest are copies to
  it. A dash is where counts from before this column do not tell.
- "Conflicts" is the share of shared memory's wavefronts that no conflict-free layout would need. "Sector use" is the share of
  the bytes between L1 and L2 that lanes ask for. "Waste" is the share of the launch's time that both cost: nothing, where
  something else limits.
- µs and "perfect" are predictions, "µs in all" and "perfect" for all launches of the row; GFLOP and MB are of one launch.
- Copies from and to the host are not in it.

## The cards

${figures(predicted.map(({ card }) => card))}

The sources are in [cards.mjs](cards.mjs).
${predicted.map(({ card, frame }) => `\n## ${card.name}\n\n${launches(frame)}\n`).join('')}`
}
