import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runScript } from '../support/child.js'
import { withFolder } from '../support/fixtures.js'
import { writeBackbone, writeHead } from '../support/synthetic-checkpoint.mjs'

describe('memory', { tags: ['slow'] }, () => {
  it('does not grow over many calls and many models', async () => {
    const { stdout, stderr } = await runScript('memory-growth.mjs')
    expect(stderr).toBe('')
    expect(JSON.parse(stdout).growth).toBeLessThan(16)
  })

  it('peaks below 2.2 times the file while a backbone of 115 MB is loaded', async () => {
    await withFolder(async (folder) => {
      const [backbone, head] = [join(folder, 'backbone.safetensors'), join(folder, 'head.safetensors')]
      writeBackbone('dinov3_vits16plus', backbone)
      writeHead('seed', head, 384)
      const { stdout } = await runScript('load-peak.mjs', [backbone, head])
      const { peak } = JSON.parse(stdout)
      expect(peak).toBeLessThan(2.2 * statSync(backbone).size)
    })
  })
})
