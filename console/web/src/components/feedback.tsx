/** What a page says when it has nothing, waits, or fails. */
import { ReloadOutlined } from '@ant-design/icons'
import { Alert, Button, Empty, Skeleton, Typography } from 'antd'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { ApiError } from '../api/client'
import { useT, type Translate } from '../i18n'

/** errorText says what failed, with every bad field and the id to look for in the log. */
export function errorText(e: unknown, t: Translate): string {
  if (e instanceof ApiError) return e.message || t('error.status', { status: e.status })
  if (e instanceof TypeError) return t('error.unreachable')
  return e instanceof Error ? e.message : String(e)
}

export function ErrorNote({ error, onRetry, title }: { error: unknown; onRetry?: () => void; title?: string }) {
  const t = useT()
  const details = error instanceof ApiError ? error.details : []
  const id = error instanceof ApiError ? error.requestId : ''
  return (
    <Alert
      type="error" showIcon role="alert"
      title={title ?? errorText(error, t)}
      description={
        title !== undefined || details.length > 0 || id ? (
          <>
            {title !== undefined && <div>{errorText(error, t)}</div>}
            {details.length > 0 && (
              <ul style={{ margin: '4px 0', paddingInlineStart: 18 }}>
                {details.map((d) => (
                  <li key={d.field + d.code}><code>{d.field}</code> {d.message}</li>
                ))}
              </ul>
            )}
            {id && <Typography.Text type="secondary">{t('error.request', { id })}</Typography.Text>}
          </>
        ) : undefined
      }
      action={onRetry && <Button size="small" icon={<ReloadOutlined />} onClick={onRetry}>{t('action.retry')}</Button>}
    />
  )
}

/** Teach is an empty state: what this is, one button to begin, the command that does the same. */
export function Teach({ title, text, action, command, image }: { title: string; text: string; action?: ReactNode; command?: string; image?: ReactNode }) {
  const t = useT()
  return (
    <div className="teach">
      <Empty image={image ?? Empty.PRESENTED_IMAGE_SIMPLE} description={null} />
      <h2>{title}</h2>
      <p>{text}</p>
      {action}
      {command && (
        <div className="teach-command">
          <Typography.Text type="secondary">{t('teach.command')}</Typography.Text>
          <Typography.Paragraph code copyable={{ text: command, tooltips: [t('action.copy'), t('action.copied')] }}>{command}</Typography.Paragraph>
        </div>
      )}
    </div>
  )
}

/** Loaded shows a query's content, or that it loads, or why it failed. Content stays while it is loaded again. */
export function Loaded<T>({ query, children, rows = 6 }: { query: UseQueryResult<T>; children: (data: T) => ReactNode; rows?: number }) {
  if (query.data !== undefined) {
    return (
      <>
        {query.isError && <div style={{ marginBottom: 8 }}><ErrorNote error={query.error} onRetry={() => void query.refetch()} /></div>}
        {children(query.data)}
      </>
    )
  }
  if (query.isError) return <ErrorNote error={query.error} onRetry={() => void query.refetch()} />
  return <Skeleton active paragraph={{ rows }} title={false} aria-busy />
}
