/** Shows a secret the one time the server gives it. */
import { CopyOutlined } from '@ant-design/icons'
import { Alert, App, Button, Modal } from 'antd'
import type { ReactNode } from 'react'
import { useT } from '../i18n'
import { copyText } from './copy'

export function SecretModal({ secret, title, onClose, children }: { secret: string | null; title: string; onClose: () => void; children?: ReactNode }) {
  const t = useT()
  const { message } = App.useApp()
  return (
    <Modal open={secret !== null} title={title} onCancel={onClose} closable={false} mask={{ closable: false }} footer={<Button type="primary" onClick={onClose}>{t('secret.kept')}</Button>}>
      <div className="stack" style={{ gap: 12 }}>
        <Alert type="warning" showIcon title={t('secret.once')} />
        <div className="secret" data-testid="secret">{secret}</div>
        <div><Button icon={<CopyOutlined />} onClick={() => void copyText(secret ?? '').then(() => message.success(t('action.copied')))}>{t('action.copy')}</Button></div>
        {children}
      </div>
    </Modal>
  )
}
