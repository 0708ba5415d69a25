/** Keys that work on every page: single ones and two in a row, such as "g m". */
import { Modal } from 'antd'
import { useEffect, useRef } from 'react'
import { useT } from '../i18n'
import { sections } from './nav'
import { useSession } from './session'

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName) || target.closest('[role="combobox"],[role="textbox"],.cm-editor') !== null)
}

export function useKeys(actions: Record<string, () => void>): void {
  const latest = useRef(actions)
  useEffect(() => {
    latest.current = actions
  })
  useEffect(() => {
    let first = ''
    let at = 0
    const onKey = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target)) return
      const pair = first !== '' && Date.now() - at < 1500 ? `${first} ${e.key}` : ''
      const run = latest.current[pair] ?? latest.current[e.key]
      first = e.key
      at = Date.now()
      if (!run) return
      e.preventDefault()
      first = ''
      run()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
}

export function KeyHelp({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useT()
  const { user } = useSession()
  return (
    <Modal open={open} onCancel={onClose} footer={null} title={t('keys.title')}>
      <dl className="key-list">
        <div><dt><kbd>/</kbd></dt><dd>{t('keys.search')}</dd></div>
        <div><dt><kbd>?</kbd></dt><dd>{t('keys.help')}</dd></div>
        <div><dt><kbd>Esc</kbd></dt><dd>{t('keys.close')}</dd></div>
        {sections.filter((s) => !s.admin || user.installation_admin).map((s) => (
          <div key={s.key}><dt><kbd>g</kbd> <kbd>{s.key}</kbd></dt><dd>{t(s.text)}</dd></div>
        ))}
      </dl>
    </Modal>
  )
}
