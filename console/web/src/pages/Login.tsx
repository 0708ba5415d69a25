/** Sign-in, and the first password change that follows a password made by the installation. */
import { LockOutlined, UserOutlined } from '@ant-design/icons'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Alert, Button, Input } from 'antd'
import { useEffect, useState, type FormEvent } from 'react'
import { useNavigate, useSearchParams } from 'react-router'
import { ApiError, post, put } from '../api/client'
import type { Session } from '../api/types'
import { usePrefs } from '../app/prefs'
import { sessionKey, useSessionQuery } from '../app/session'
import { errorText } from '../components/feedback'
import { Field } from '../components/Field'
import { FieldErrors } from '../components/fieldErrors'
import { useT } from '../i18n'

export default function Login() {
  const t = useT()
  const { language, dark, setPrefs } = usePrefs()
  const [params] = useSearchParams()
  const navigate = useNavigate()
  const session = useSessionQuery()
  const [old, setOld] = useState('')
  const user = session.data?.user
  const next = params.get('next') ?? '/'
  const done = !!user && !user.must_change_password
  useEffect(() => {
    document.title = t('login.title') + ' · Pharos'
    // Only paths of this site, so that a link can't lead elsewhere after signing in.
    if (done) void navigate(/^\/(?!\/)/.test(next) ? next : '/', { replace: true })
  }, [done, next, navigate, t])
  return (
    <main className="login" id="main">
      <div>
        <div className="login-card">
          <h1><img src="/favicon.svg" alt="" width={32} height={32} /> Pharos</h1>
          {user?.must_change_password ? <ChangePassword old={old} /> : <SignIn onPassword={setOld} />}
        </div>
        <div className="login-foot">
          <Button type="text" onClick={() => setPrefs({ language: language === 'en' ? 'zh-CN' : 'en' })} lang={language === 'en' ? 'zh-CN' : 'en'}>{language === 'en' ? '简体中文' : 'English'}</Button>
          <Button type="text" onClick={() => setPrefs({ theme: dark ? 'light' : 'dark' })}>{dark ? t('theme.light') : t('theme.dark')}</Button>
        </div>
      </div>
    </main>
  )
}

function SignIn({ onPassword }: { onPassword: (p: string) => void }) {
  const t = useT()
  const client = useQueryClient()
  const [username, setUsername] = useState('')
  const [password, setPassword] = useState('')
  const login = useMutation({
    mutationFn: () => post<Session>('/api/v1/session', { username, password }),
    onSuccess: (s) => {
      onPassword(password)
      client.clear()
      client.setQueryData(sessionKey, s)
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    login.mutate()
  }
  const refused = login.error instanceof ApiError && login.error.status === 401
  return (
    <form onSubmit={submit} className="stack">
      <p style={{ margin: 0 }}>{t('login.about')}</p>
      {login.isError && <Alert type="error" showIcon role="alert" title={refused ? t('login.refused') : errorText(login.error, t)} />}
      <Field label={t('login.username')}>
        {(a) => <Input {...a} prefix={<UserOutlined />} autoFocus autoComplete="username" name="username" value={username} onChange={(e) => setUsername(e.target.value)} />}
      </Field>
      <Field label={t('login.password')}>
        {(a) => <Input.Password {...a} prefix={<LockOutlined />} autoComplete="current-password" name="password" value={password} onChange={(e) => setPassword(e.target.value)} />}
      </Field>
      <Button type="primary" htmlType="submit" block loading={login.isPending} disabled={username === '' || password === ''}>{t('login.submit')}</Button>
      <p style={{ margin: 0, fontSize: 12 }}>{t('login.hint')}</p>
    </form>
  )
}

function ChangePassword({ old }: { old: string }) {
  const t = useT()
  const client = useQueryClient()
  const [current, setCurrent] = useState(old)
  const [password, setPassword] = useState('')
  const [again, setAgain] = useState('')
  const change = useMutation({
    mutationFn: () => put<undefined>('/api/v1/me/password', { old_password: current, new_password: password }),
    onSuccess: () => client.invalidateQueries({ queryKey: sessionKey }),
  })
  const errors = FieldErrors.of(change.error)
  const differ = again !== '' && again !== password
  return (
    <form className="stack" onSubmit={(e) => { e.preventDefault(); if (!differ) change.mutate() }}>
      <p style={{ margin: 0 }}>{t('login.change.about')}</p>
      {change.isError && <Alert type="error" showIcon role="alert" title={errorText(change.error, t)} />}
      {old === '' && (
        <Field label={t('login.current')} bad={errors.at('old_password')}>
          {(a) => <Input.Password {...a} autoComplete="current-password" value={current} onChange={(e) => setCurrent(e.target.value)} />}
        </Field>
      )}
      <Field label={t('login.new')} hint={t('login.new.hint')} bad={errors.at('new_password')}>
        {(a) => <Input.Password {...a} autoFocus autoComplete="new-password" value={password} onChange={(e) => setPassword(e.target.value)} />}
      </Field>
      <Field label={t('login.again')} bad={differ ? t('login.differ') : undefined}>
        {(a) => <Input.Password {...a} autoComplete="new-password" value={again} onChange={(e) => setAgain(e.target.value)} />}
      </Field>
      <Button type="primary" htmlType="submit" block loading={change.isPending} disabled={password === '' || password !== again}>{t('login.change')}</Button>
    </form>
  )
}
