import { HighlightStyle } from '@codemirror/language'
import { EditorView } from '@codemirror/view'
import { tags } from '@lezer/highlight'

export const darkHighlight = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.labelName], color: '#7ee0c4' },
  { tag: [tags.string, tags.special(tags.string)], color: '#f2b880' },
  { tag: [tags.number, tags.bool, tags.null, tags.literal], color: '#9ecbff' },
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: '#d2a8ff' },
  { tag: [tags.function(tags.variableName), tags.standard(tags.variableName)], color: '#d2a8ff' },
  { tag: [tags.comment], color: '#95a1b0', fontStyle: 'italic' },
  { tag: [tags.operator, tags.punctuation], color: '#c9d1d9' },
])

export function editorTheme(dark: boolean) {
  return EditorView.theme(
    {
      '&': { fontSize: '13px', backgroundColor: 'transparent', color: 'var(--ink)' },
      '.cm-gutters': { backgroundColor: 'transparent', color: 'var(--muted)', border: 'none' },
      '.cm-content': { fontFamily: 'var(--mono)', caretColor: 'var(--ink)' },
      '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-1px' },
      '.cm-tooltip': { backgroundColor: 'var(--panel)', color: 'var(--ink)', border: '1px solid var(--line)' },
      '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent-soft)', color: 'var(--ink)' },
      '.cm-selectionBackground, &.cm-focused .cm-selectionBackground': { backgroundColor: 'var(--accent-soft) !important' },
      '.cm-cursor': { borderLeftColor: 'var(--ink)' },
    },
    { dark },
  )
}
