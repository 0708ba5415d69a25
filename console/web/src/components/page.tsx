/** The frame of a page: title, what it is about, actions. */
import { useEffect, type ReactNode } from 'react'

export function Page({ title, about, actions, children, extra }: { title: string; about?: ReactNode; actions?: ReactNode; children: ReactNode; extra?: ReactNode }) {
  useEffect(() => {
    document.title = title + ' · Pharos'
  }, [title])
  return (
    <main className="page" id="main" tabIndex={-1}>
      <header className="page-head">
        <div className="page-title">
          <h1>{title}</h1>
          {extra}
        </div>
        {actions && <div className="page-actions">{actions}</div>}
        {about && <p className="page-about">{about}</p>}
      </header>
      {children}
    </main>
  )
}

/** Panel is a titled block of a page. */
export function Panel({ title, extra, children, className, label, id }: { id?: string; title?: ReactNode; extra?: ReactNode; children: ReactNode; className?: string; label?: string }) {
  return (
    <section id={id} className={'panel ' + (className ?? '')} aria-label={label ?? (typeof title === 'string' ? title : undefined)}>
      {(title || extra) && (
        <div className="panel-head">
          <h2>{title}</h2>
          {extra && <div className="panel-extra">{extra}</div>}
        </div>
      )}
      <div className="panel-body">{children}</div>
    </section>
  )
}

/** Figure is one number with its name. */
export function Figure({ name, value, hint, state }: { name: string; value: ReactNode; hint?: ReactNode; state?: 'ok' | 'warn' | 'error' | 'none' }) {
  return (
    <div className="figure">
      <div className="figure-name">{name}</div>
      <div className={'figure-value' + (state ? ' state-' + state : '')}>{value}</div>
      {hint && <div className="figure-hint">{hint}</div>}
    </div>
  )
}

/** Facts is a list of names and values. */
export function Facts({ items }: { items: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {items.map(([k, v]) => (
        <div key={k}>
          <dt>{k}</dt>
          <dd>{v === undefined || v === null || v === '' ? '–' : v}</dd>
        </div>
      ))}
    </dl>
  )
}
