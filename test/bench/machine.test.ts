import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { describeMachine } from '../../lib/cli/bench/machine/machine.js'
import { Watch } from '../../lib/cli/bench/machine/watch.js'
import { scratch } from '../cli/helpers.js'

const path = scratch()

/** Files below a folder that stands for the root of a system. */
function system(name: string, files: Readonly<Record<string, string>>): string {
  const root = path(name)
  mkdirSync(root, { recursive: true })
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(`${root}/${file}`), { recursive: true })
    writeFileSync(`${root}/${file}`, `${text}\n`)
  }
  return root
}

const CPU0 = 'sys/devices/system/cpu/cpu0'

describe('the machine', () => {
  test('is told as Linux tells it', () => {
    const root = system('told', {
      'proc/cpuinfo':
        'processor\t: 0\nmodel name\t: Example 9000\ncpu MHz\t\t: 2100.4\n\nprocessor\t: 1\ncpu MHz\t\t: 3499.6',
      [`${CPU0}/cpufreq/scaling_governor`]: 'powersave',
      [`${CPU0}/cpufreq/scaling_max_freq`]: '3500000',
      'sys/class/powercap/intel-rapl:0/constraint_0_power_limit_uw': '65000000',
      'sys/fs/cgroup/cpu.max': '150000 100000',
    })
    expect(describeMachine('cpu', root)).toMatchObject({
      cpu: 'Example 9000',
      clocks: [2100, 3500],
      maxClock: 3500,
      governor: 'powersave',
      powerLimit: 65,
      cpuLimit: 1.5,
      gpu: null,
    })
  })

  test('is not made up where a system tells nothing', () => {
    const root = system('silent', { 'sys/fs/cgroup/cpu.max': 'max 100000' })
    expect(describeMachine('cpu', root)).toMatchObject({
      clocks: null,
      maxClock: null,
      governor: null,
      powerLimit: null,
      cpuLimit: null,
    })
    expect(new Watch('cpu', root).end()).toMatchObject({
      thermalThrottles: null,
      quotaThrottles: null,
      stolen: null,
      others: null,
      clocks: null,
      temperature: null,
    })
  })

  test('is watched for throttling, stolen time, heat and clocks', () => {
    const before = {
      'proc/cpuinfo': 'cpu MHz\t\t: 3000.0',
      'proc/stat': 'cpu  1000 0 0 9000 0 0 0 0 0 0',
      'sys/fs/cgroup/cpu.stat': 'usage_usec 5\nnr_throttled 3\nthrottled_usec 1000',
      'sys/class/thermal/thermal_zone0/temp': '50000',
      [`${CPU0}/thermal_throttle/core_throttle_count`]: '7',
    }
    const root = system('watched', before)
    const watch = new Watch('cpu', root)
    system('watched', {
      'proc/cpuinfo': 'cpu MHz\t\t: 1200.0',
      'proc/stat': 'cpu  1000 0 0 9900 0 0 0 100 0 0',
      'sys/fs/cgroup/cpu.stat': 'usage_usec 9\nnr_throttled 5\nthrottled_usec 21000',
      'sys/class/thermal/thermal_zone0/temp': '91000',
      [`${CPU0}/thermal_throttle/core_throttle_count`]: '9',
    })
    expect(watch.end()).toMatchObject({
      thermalThrottles: 2,
      quotaThrottles: 2,
      quotaMilliseconds: 20,
      stolen: 0.1,
      others: 0,
      clocks: [1200, 3000],
      temperature: 91,
    })
  })
})
