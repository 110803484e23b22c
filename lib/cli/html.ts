import { createHash } from 'node:crypto'

// Parts of a page that needs no other file.

/** A script or a style inside of its element, which nothing in the text can end. */
export function inlined(text: string): string {
  return text.replaceAll(/<\/(script|style)/gi, '<\\/$1').replaceAll('<!--', '<\\!--')
}

/** The hash that a content security policy allows a script by. */
export function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}

/** JSON in an element of HTML: no text in it can end the element. */
export function jsonForHtml(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c')
}

/** Text in an element or in an attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
