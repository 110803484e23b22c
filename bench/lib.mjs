// Shared by the benchmarks: the seed's configuration without a download, statistics, tables.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDER = path.join(ROOT, 'build', 'peers')

/** Synthetic checkpoints of the seed's configuration, written if they are missing. */
export function seedCheckpoints() {
  const files = {
    backbone: path.join(FOLDER, 'backbone.safetensors'),
    head: path.join(FOLDER, 'head.safetensors'),
  }
  const write = (model, file) => {
    if (existsSync(file)) return
    mkdirSync(FOLDER, { recursive: true })
    console.error(`writing ${path.relative(process.cwd(), file)}, a synthetic checkpoint`)
    execFileSync(process.execPath, [
      path.join(ROOT, 'test/support/synthetic-checkpoint.mjs'),
      model,
      file,
      '384',
    ])
  }
  write('dinov3_vits16plus', files.backbone)
  write('head:seed', files.head)
  return files
}

/** The p-th percentile of some numbers by nearest rank; p is 0 to 1. */
export function percentile(values, p) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)]
}

export function summary(values) {
  return {
    runs: values.length,
    p50: percentile(values, 0.5),
    p95: percentile(values, 0.95),
    p99: percentile(values, 0.99),
    least: Math.min(...values),
  }
}

/** The machine and the commit of a measurement: a figure without them means nothing. */
export function circumstances(command) {
  const git = (...args) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim()
  let commit = 'unknown'
  try {
    commit = git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+changes')
  } catch {
    // a package without its repository
  }
  return {
    date: new Date().toISOString().slice(0, 10),
    commit,
    command,
    cpu: cpus()[0].model.trim(),
    logicalCpus: cpus().length,
    node: process.version,
  }
}

/** Prints objects as the rows of a table. Their keys are the columns; numbers are aligned to the right. */
export function printTable(title, rows) {
  if (rows.length === 0) return
  const keys = Object.keys(rows[0])
  const cells = rows.map((row) => keys.map((key) => String(row[key] ?? '')))
  const widths = keys.map((key, i) => Math.max(key.length, ...cells.map((row) => row[i].length)))
  const line = (row, source) =>
    row
      .map((cell, i) =>
        typeof source[keys[i]] === 'string' ? cell.padEnd(widths[i]) : cell.padStart(widths[i]),
      )
      .join('  ')
  console.log(`\n${title}`)
  console.log(line(keys, rows[0]))
  console.log(widths.map((width) => '-'.repeat(width)).join('  '))
  for (const [i, row] of cells.entries()) console.log(line(row, rows[i]))
}

export function saveReport(file, report) {
  if (file === undefined) return
  mkdirSync(path.dirname(path.resolve(file)), { recursive: true })
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`)
  console.error(`wrote ${file}`)
}
