// As esm.mts, from CommonJS: Node requires modules without top-level await.
import flow = require('dinov3-flow')

export async function widthOf(a: flow.Frame, b: flow.Frame): Promise<number> {
  using model = await flow.FlowModel.load({ backbone: 'vits16plus.pth', head: 'model.pth' })
  const field: flow.FlowField = await model.flow(a, b)
  return field.width
}

// @ts-expect-error: no such option
flow.FlowModel.load({ backbone: 'a', head: 'b', gpu: true })
