// A module of somebody else's: what is written here compiles against the built package.
import { FeatureMap, FlowError, FlowField, FlowModel, type Frame, type LoadOptions } from 'dinov3-flow'

const options: LoadOptions = {
  backbone: 'vits16plus.pth',
  head: 'model.pth',
  device: 'cuda:0',
  size: [432, 1024],
}

export async function flowOf(a: Frame, b: Frame): Promise<FlowField> {
  using model = await FlowModel.load(options)
  return await model.flow(a, b)
}

export async function featuresOf(frame: Frame): Promise<Float32Array> {
  await using model = await FlowModel.load(options)
  using map: FeatureMap = await model.features(frame)
  return await map.read()
}

export function explain(error: unknown): string {
  if (!(error instanceof FlowError)) return 'not ours'
  switch (error.code) {
    case 'ERR_DEVICE':
      return 'no such device'
    // @ts-expect-error: no such code
    case 'ERR_GPU':
      return 'never'
    default:
      return error.message
  }
}

// @ts-expect-error: a model is loaded, not constructed
export const never = new FlowModel(options)
