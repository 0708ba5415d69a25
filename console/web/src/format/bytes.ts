/** Offsets into UTF-8 bytes, as agents give them, turned into indices of JavaScript strings. */

/**
 * indices returns a function from byte offset to string index of text. An
 * offset within a character gives the character's start, one beyond the end the length.
 */
export function indices(text: string): (offset: number) => number {
  let plain = true
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 127) {
      plain = false
      break
    }
  }
  if (plain) return (o) => Math.max(0, Math.min(o, text.length))
  const at: number[] = []
  for (let i = 0; i < text.length; ) {
    const code = text.codePointAt(i)!
    const bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
    for (let b = 0; b < bytes; b++) at.push(i)
    i += code >= 0x10000 ? 2 : 1
  }
  return (o) => (o < 0 ? 0 : o >= at.length ? text.length : at[o]!)
}
