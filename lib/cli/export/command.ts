import { type Command, InvalidArgumentError, Option } from 'commander'
import type { FoundNormalization } from '../../checkpoint/normalization.js'
import { withModel } from '../../checkpoint/open-model.js'
import type { CheckpointPart } from '../../checkpoint/write/state.js'
import { FlowError } from '../../errors.js'
import type { ExportPrecision } from '../../onnx/graph.js'
import { byteCount } from '../amounts.js'
import { type Cli, Interrupted, printLines, UsageError } from '../cli.js'
import { addModelOptions } from '../model-options.js'
import { checkOutputs, type PlannedOutput } from '../outputs.js'
import { parsePair } from '../parse.js'
import { type ModelFlags, modelFiles, pathsOf } from '../run/model-files.js'
import { Progress } from '../run/progress.js'
import { type Order, writeExports } from './write.js'

interface ExportFlags extends ModelFlags {
  readonly onnx?: string
  readonly safetensors?: string
  readonly pth?: string
  readonly part?: CheckpointPart
  readonly size?: readonly [number, number]
  readonly dynamic?: true
  readonly precision?: ExportPrecision
  readonly normalize?: true
  readonly quiet?: true
}

const SEED_SIZE = [640, 640] as const

export function addExport(program: Command, cli: Cli): void {
  const command = program
    .command('export')
    .summary('write a model as ONNX, .safetensors or .pth')
    .description(
      'Writes a model for other runtimes: as ONNX for onnxruntime, TensorRT and their like, and as a checkpoint under the names ' +
        'of its authors, from any that loads here. It needs no Python.',
    )
    .optionsGroup('Output (one or more):')
    .option('--onnx <dir>', 'write backbone.onnx, head.onnx, and flow.onnx, which is both in one')
    .option('--safetensors <file>', 'write the weights as .safetensors, in float32')
    .option('--pth <file>', 'write the weights as torch.save does, in float32')
    .option('-q, --quiet', 'print nothing but errors')
    .optionsGroup('ONNX:')
    .option('--size <size>', 'size of the pictures, HEIGHTxWIDTH (default: 640x640)', parseGraphSize)
    .option('--dynamic', 'take pictures of any size made of whole patches')
    .addOption(
      new Option(
        '--precision <type>',
        'of products and convolutions; norms, softmax, residuals, inputs and outputs are float32 (default: float32)',
      ).choices(['float32', 'float16']),
    )
    .option('--normalize', 'take pictures as RGB in 0..255, and normalise them in the model')
    .optionsGroup('.safetensors and .pth:')
    .addOption(
      new Option(
        '--part <which>',
        'both, behind backbone. and head., as this package loads them; backbone, as Meta has it; or head, as ' +
          "optical_flow_dinov3's model.pth (default: both)",
      ).choices(['both', 'backbone', 'head']),
    )
  addModelOptions(command)
  command
    .addHelpText(
      'after',
      `
The ONNX models (opset 17, float32 in and out, planar; H and W are the picture's, h and w the grid's):

  model          inputs                                output
  backbone.onnx  image [1, 3, H, W]                    features [1, dim, h, w]
  head.onnx      features1, features2 [1, dim, h, w]   optical_flow [1, 2, h * up, w * up]
  flow.onnx      image1, image2 [1, 3, H, W]           optical_flow

Flow is in pixels, x (right) before y (down), from picture 1 to picture 2, at the size H x W for all
known models. A picture is RGB in 0..1, minus 0.485, 0.456, 0.406, by 0.229, 0.224, 0.225, or as the
backbone expects it; with --normalize the pixels themselves. Resizing a picture is up to you, and so is scaling the flow back.
The refinement by pixels (--refine) is no part of the models: they compute what --refine off does.

One size is the form that TensorRT likes best: RoPE is a constant. With --dynamic it is computed from
the picture's size, once for all blocks, in float32; trtexec then needs --minShapes, --optShapes and
--maxShapes. TensorRT 10.3 and 10.4 compute DINOv3 wrongly: use 10.6 or later, and compare.

A model of more than 2 GB has its weights in a file beside it, such as backbone.onnx.data. Metadata
name the source, the licences that the checkpoints name, and the size. Existing files are replaced
when all new ones are complete.

Examples:
  dinov3-flow export --onnx models                              the package's small model
  dinov3-flow export --onnx models --backbone dinov3_vits16plus.pth --head model.pth --precision float16
  dinov3-flow export --onnx models --size 480x640 --normalize
  dinov3-flow export --safetensors model.safetensors --backbone hf/ --head model.pth
  dinov3-flow export --pth backbone.pth --part backbone --backbone hf/ --head model.pth`,
    )
    .action(async (flags: ExportFlags) => {
      const order = orderOf(flags)
      const progress = new Progress(cli.err, flags.quiet === true ? 'hidden' : 'shown')
      let interrupted = false
      cli.onInterrupt?.(() => (interrupted = true))
      try {
        const lines = await withModel(order.files, async (model) => {
          const written = await writeExports(model, order, {
            stage: (path) => progress.stage(`writing ${path}`),
            reached(share) {
              if (interrupted) throw new FlowError('ERR_ABORTED', 'interrupted')
              progress.reached(share)
            },
          })
          return [
            ...written.map(({ path, bytes }) => `wrote ${path}: ${byteCount(bytes)}`),
            ...whatIsLost(order, model.backbone.normalization),
          ]
        })
        progress.end()
        if (flags.quiet !== true) printLines(cli.out, lines)
      } catch (error) {
        throw interrupted ? new Interrupted() : error
      } finally {
        progress.end()
      }
    })
}

/** What a checkpoint of these formats does not hold. */
function whatIsLost({ safetensors, pth, part }: Order, { mean, std, from }: FoundNormalization): string[] {
  if ((safetensors === undefined && pth === undefined) || part === 'head' || from === 'default') return []
  return [`the checkpoint does not tell its pixels: load it with --image-mean ${mean} --image-std ${std}`]
}

/** @throws {UsageError} if nothing is to be written, or options belong to nothing that is */
function orderOf(flags: ExportFlags): Order {
  const { onnx, safetensors, pth, size, dynamic, precision, normalize, part, ropePeriods } = flags
  const files = modelFiles(flags)
  if (onnx === undefined && safetensors === undefined && pth === undefined)
    throw new UsageError('nothing to write: give --onnx DIR, --safetensors FILE or --pth FILE')
  const lone = Object.entries({ size, dynamic, precision, normalize }).find(
    ([, value]) => value !== undefined,
  )
  if (onnx === undefined && lone !== undefined) throw new UsageError(`--${lone[0]} needs --onnx`)
  if (part !== undefined && safetensors === undefined && pth === undefined)
    throw new UsageError('--part needs --safetensors or --pth: --onnx always writes both')
  if (size !== undefined && dynamic !== undefined)
    throw new UsageError('--size and --dynamic exclude each other')
  const outputs: PlannedOutput[] = []
  if (safetensors !== undefined)
    outputs.push({ option: '--safetensors', path: safetensors, kind: 'safetensors' })
  if (pth !== undefined) outputs.push({ option: '--pth', path: pth, kind: 'torch' })
  checkOutputs(outputs, pathsOf(files))
  return {
    files,
    ropePeriods,
    safetensors,
    pth,
    part: part ?? 'both',
    onnx:
      onnx === undefined
        ? undefined
        : {
            folder: onnx,
            size: dynamic === undefined ? (size ?? SEED_SIZE) : 'dynamic',
            precision: precision ?? 'float32',
            normalisation: normalize === undefined ? 'outside' : 'inside',
          },
  }
}

function parseGraphSize(text: string): readonly [number, number] {
  const size = parsePair(text, '')
  if (Math.min(...size) === 0) throw new InvalidArgumentError('It must be HEIGHTxWIDTH, both above 0.')
  return size
}
