import { type Command, Option } from 'commander'
import { WAITS } from '../device.js'
import type { LoadOptions, ModelPreset } from '../load.js'
import { FlowModel } from '../model.js'
import { BACKBONE_ENGINES, type BackboneEngine, type PrepareProgress } from '../prepare.js'
import type { RefinePreset } from '../refine.js'
import type { FlowSize, OutputSize } from '../size.js'
import { parseDevice, parseMean, parseSize, parseStd, parseThreads } from './parse.js'
import type { ModelFiles } from './run/model-files.js'
import type { Progress } from './run/progress.js'

/** The options that say how to compute, as commander hands them over. */
export interface ComputationFlags {
  readonly preset?: ModelPreset
  readonly size?: FlowSize
  readonly refine?: 'off' | RefinePreset
  readonly device: NonNullable<LoadOptions['device']>
  readonly precision: NonNullable<LoadOptions['precision']>
  readonly wait: NonNullable<LoadOptions['wait']>
  readonly threads?: number
  readonly backboneEngine?: BackboneEngine
}

/** Adds the options that name the model's files. */
export function addModelOptions(command: Command): void {
  command
    .optionsGroup("Model (default: the package's small model):")
    .option(
      '--backbone <file>',
      "DINOv3 checkpoint with the names of Meta, transformers or timm: .pth, .safetensors, the shards' index.json, or a folder",
    )
    .option('--head <file>', "flow head's checkpoint, .pth, .ckpt or .safetensors")
    .option('--backbone-config <file>', "Hugging Face's config.json, if it is not beside the backbone")
    .option(
      '--backbone-prefix <prefix>',
      "beginning of the backbone's names in a file of several models, such as teacher.backbone. (inspect lists them)",
    )
    .option('--head-prefix <prefix>', 'the same for the head, such as model_ema.')
    .addOption(
      new Option(
        '--rope-periods <type>',
        'bfloat16 rounds them as Meta\u2019s files have them, for a head trained on those (default: as in the file, else float32)',
      ).choices(['float32', 'bfloat16']),
    )
    .option(
      '--image-mean <r,g,b>',
      "mean of the pixels, from 0 to 1, that the backbone expects (default: of the files beside it, else ImageNet's)",
      parseMean,
    )
    .option('--image-std <r,g,b>', 'their standard deviation', parseStd)
}

/** Adds the options of {@link ComputationFlags}. */
export function addComputationOptions(command: Command): void {
  command
    .optionsGroup('Computation:')
    .addOption(
      new Option('--preset <name>', "speed against error of the package's model (default: balanced)").choices(
        ['fast', 'balanced', 'best'],
      ),
    )
    .option(
      '--size <size>',
      'size that pictures are resized to: seed (640x640), native (their own, rounded to patches), fit (like native, but ' +
        "at most 640 x 640 pixels), half (of fit) or HEIGHTxWIDTH (default: seed; the preset's for the package's model)",
      parseSize,
    )
    .addOption(
      new Option(
        '--refine <how>',
        "refine the flow by the pixels of the pictures, or not: off (default: off; the preset's for the package's model)",
      ).choices(['off', 'fast', 'default', 'best']),
    )
    .option('--device <name>', 'auto, cpu, cuda or cuda:N', parseDevice, 'auto' as const)
    .addOption(
      new Option('--precision <type>', 'number type to compute in')
        .choices(['auto', 'fp32', 'fp16', 'bf16'])
        .default('auto'),
    )
    .addOption(
      new Option(
        '--wait <how>',
        'how to wait for a GPU: spin (lowest latency, one core busy) or block (asleep); auto is block where it shares the memory of the ' +
          'host, else spin',
      )
        .choices(WAITS)
        .default('auto'),
    )
    .option('--threads <n>', 'threads of the CPU engine (default: one per physical core)', parseThreads)
    .addOption(
      new Option(
        '--backbone-engine <name>',
        'what computes the backbone on a GPU: our kernels, TensorRT if it is right on this machine, or the faster of both; the first ' +
          'time, TensorRT builds for minutes (default: kernels)',
      ).choices(BACKBONE_ENGINES),
    )
}

/** Loads the model, and shows how far it is. */
export function loadModel(
  files: ModelFiles,
  flags: ComputationFlags,
  progress: Progress,
): Promise<FlowModel> {
  return FlowModel.load({
    backbone: files.backbone,
    head: files.head,
    backboneConfig: files.backboneConfig,
    ropePeriods: files.ropePeriods,
    normalization: files.normalization,
    device: flags.device,
    precision: flags.precision,
    wait: flags.wait,
    threads: flags.threads,
    backboneEngine: flags.backboneEngine,
    onProgress: ({ loaded, total }) => progress.reached(loaded / total),
  })
}

/** Prepares the size of frames, if an engine was asked for, and shows how far it is. */
export async function prepareModel(
  model: FlowModel,
  { width, height }: OutputSize,
  size: FlowSize,
  progress: Progress,
  signal?: AbortSignal,
): Promise<void> {
  if (model.info.backboneEngine === 'kernels') return
  progress.stage('preparing the backbone')
  let building = false
  const onProgress = ({ share }: PrepareProgress) => {
    if (!building) progress.stage('TensorRT builds the backbone, which takes minutes')
    building = true
    progress.reached(share)
  }
  await model.prepare({ width, height }, { size, signal, onProgress })
}
