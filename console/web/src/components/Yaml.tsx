/** The resource a form makes, as YAML to copy into a file. */
import { CopyOutlined } from '@ant-design/icons'
import { Button, message, Skeleton } from 'antd'
import { lazy, Suspense } from 'react'
import { stringify } from 'yaml'
import { copyText } from './copy'
import { useT } from '../i18n'

const CodeView = lazy(() => import('./CodeView'))

/** resourceYaml writes a resource as `pharos apply` reads it. */
export function resourceYaml(kind: string, name: string, workspace: string, spec: unknown, folder?: string): string {
  return stringify({ apiVersion: 'pharos/v1', kind, metadata: { name, workspace, ...(folder ? { folder } : {}) }, spec }, { lineWidth: 0 })
}

export default function Yaml({ text, file }: { text: string; file: string }) {
  const t = useT()
  const [messages, holder] = message.useMessage()
  return (
    <div>
      {holder}
      <div className="yaml-head">
        <span className="muted">{t('yaml.apply')} <code>pharos apply -f {file}</code></span>
        <Button size="small" icon={<CopyOutlined />} onClick={() => void copyText(text).then(() => messages.success(t('action.copied')))}>{t('action.copy')}</Button>
      </div>
      <Suspense fallback={<Skeleton active />}>
        <CodeView text={text} label="YAML" />
      </Suspense>
    </div>
  )
}
