type Attributes = Readonly<Record<string, string>>

/** Makes an element. Text becomes text, never HTML. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** The drawing context of a canvas. */
export function context2d(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext('2d')
  if (context === null) throw new Error('this browser draws no canvas')
  return context
}

/** A canvas in memory with a picture of its pixels. */
export function canvasOf(image: ImageData): HTMLCanvasElement {
  const canvas = h('canvas')
  canvas.width = image.width
  canvas.height = image.height
  context2d(canvas).putImageData(image, 0, 0)
  return canvas
}

/** A colour of the page's style, by its custom property, as the theme that is on has it. */
export function colorOf(name: `--${string}`): string {
  if (!probe.isConnected) document.body.append(probe)
  // The property itself may be light-dark(), which only a colour of an element resolves.
  probe.style.color = `var(${name})`
  return getComputedStyle(probe).color
}

const probe = h('span', { class: 'unseen', 'aria-hidden': 'true' })

/** Sets text only where it changes: readers of screens tell changes. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text
}
