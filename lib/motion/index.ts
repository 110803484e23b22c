export type { Point } from './point.js'
export type { MagnitudeOptions, MotionStatistics } from './statistics.js'
export {
  type Raster,
  type RasterValues,
  warp,
  type Warped,
  type WarpedFlow,
  type WarpFlowOptions,
  type WarpOptions,
} from './warp.js'
