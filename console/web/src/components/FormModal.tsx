/** A small form in a dialog. What was typed stays when the server refuses it. */
import { Modal } from 'antd'
import { useState, type ReactNode } from 'react'
import { ApiError } from '../api/client'
import { useT } from '../i18n'
import { ErrorNote } from './feedback'
import { FieldErrors } from './fieldErrors'

interface Props {
  open: boolean
  title: string
  ok: string
  ready: boolean
  width?: number
  onClose: () => void
  /** onSave does the work; the dialog closes when it succeeds. */
  onSave: () => Promise<unknown>
  children: (errors: FieldErrors) => ReactNode
}

export function FormModal({ open, title, ok, ready, width, onClose, onSave, children }: Props) {
  const t = useT()
  const [error, setError] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const close = () => {
    setError(null)
    onClose()
  }
  return (
    <Modal
      open={open} title={title} okText={ok} cancelText={t('action.cancel')} okButtonProps={{ disabled: !ready }} confirmLoading={busy} width={width} onCancel={close} destroyOnHidden
      onOk={async () => {
        setBusy(true)
        try {
          await onSave()
          close()
        } catch (e) {
          setError(e)
        } finally {
          setBusy(false)
        }
      }}
    >
      <div className="stack" style={{ gap: 12 }}>
        {error !== null && <ErrorNote error={error instanceof ApiError && error.details.length > 0 ? new ApiError(error.status, error.code, error.message, error.details, error.requestId) : error} />}
        {children(FieldErrors.of(error))}
      </div>
    </Modal>
  )
}
