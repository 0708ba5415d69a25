/** Text with line numbers and colours, to read and copy; loaded only where it is shown. */
import { yaml } from '@codemirror/lang-yaml'
import { defaultHighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { EditorState } from '@codemirror/state'
import { EditorView, lineNumbers } from '@codemirror/view'
import { useEffect, useRef } from 'react'
import { usePrefs } from '../app/prefs'
import { darkHighlight, editorTheme } from './editorTheme'

export default function CodeView({ text, label }: { text: string; label: string }) {
  const { dark } = usePrefs()
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const view = new EditorView({
      parent: box.current!,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(), yaml(), EditorState.readOnly.of(true), EditorView.editable.of(false), EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }), syntaxHighlighting(dark ? darkHighlight : defaultHighlightStyle), editorTheme(dark),
        ],
      }),
    })
    return () => view.destroy()
  }, [text, dark, label])
  return <div className="code-view" ref={box} />
}
