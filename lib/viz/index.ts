export { type ArrowOptions, arrowsSvg, drawArrows } from './arrows.js'
export { COLOR_WHEEL, writeColor } from './color-wheel.js'
export { mapToImage } from './map-to-image.js'
export { colorWheelLegend, type FlowColorOptions, flowToColor } from './flow-to-color.js'
