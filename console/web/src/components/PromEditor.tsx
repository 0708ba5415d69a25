/** PromQL with completion of metrics, labels and values from the server. */
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { bracketMatching, defaultHighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { lintKeymap } from '@codemirror/lint'
import { EditorState, Prec } from '@codemirror/state'
import { EditorView, keymap, placeholder } from '@codemirror/view'
import { PromQLExtension } from '@prometheus-io/codemirror-promql'
import { useEffect, useRef } from 'react'
import { usePrefs } from '../app/prefs'
import { darkHighlight, editorTheme } from './editorTheme'

interface Props {
  value: string
  workspace: string
  label: string
  onChange: (v: string) => void
  onRun?: (v: string) => void
}

export default function PromEditor({ value, workspace, label, onChange, onRun }: Props) {
  const { dark } = usePrefs()
  const box = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(undefined)
  const latest = useRef({ value, onChange, onRun })
  useEffect(() => {
    latest.current = { value, onChange, onRun }
  })
  useEffect(() => {
    const promql = new PromQLExtension().setComplete({
      remote: {
        url: '/prometheus', httpMethod: 'GET', lookbackInterval: 3_600_000,
        fetchFn: (input, init) => fetch(input, { ...init, credentials: 'same-origin', headers: { ...(init?.headers as Record<string, string>), 'X-Pharos-Workspace': workspace } }),
      },
    })
    const v = new EditorView({
      parent: box.current!,
      state: EditorState.create({
        doc: latest.current.value,
        extensions: [
          history(), bracketMatching(), closeBrackets(), autocompletion(), EditorView.lineWrapping, promql.asExtension(), placeholder('sum by (host) (rate(…[1m]))'),
          EditorView.contentAttributes.of({ 'aria-label': label, role: 'textbox', 'aria-multiline': 'true' }),
          syntaxHighlighting(dark ? darkHighlight : defaultHighlightStyle, { fallback: true }), editorTheme(dark),
          Prec.highest(keymap.of([
            { key: 'Mod-Enter', run: () => { latest.current.onRun?.(v.state.doc.toString()); return true } },
            { key: 'Shift-Enter', run: () => { latest.current.onRun?.(v.state.doc.toString()); return true } },
          ])),
          keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...lintKeymap, ...defaultKeymap]),
          EditorView.updateListener.of((u) => { if (u.docChanged) latest.current.onChange(u.state.doc.toString()) }),
        ],
      }),
    })
    view.current = v
    return () => v.destroy()
  }, [dark, workspace, label])
  useEffect(() => {
    const v = view.current
    if (v && v.state.doc.toString() !== value) v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: value } })
  }, [value])
  return <div className="prom-editor" ref={box} />
}
