import { chairs } from './chairs.js'
import type { DataSet } from './dataset.js'
import { hd1k } from './hd1k.js'
import { kitti } from './kitti.js'
import { middlebury } from './middlebury.js'
import { sintel } from './sintel.js'
import { spring } from './spring.js'
import { things } from './things.js'

const ALL = { sintel, kitti, spring, chairs, things, middlebury, hd1k }

export type DataSetName = keyof typeof ALL

/** The data sets by the names that the command line has for them. */
export const DATA_SETS: Readonly<Record<DataSetName, DataSet>> = ALL
