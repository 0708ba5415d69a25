/** A person's own settings and password. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Alert, App, Button, Input, Select } from 'antd'
import { useState } from 'react'
import { patch, put } from '../api/client'
import { usePrefs, type Language, type Theme } from '../app/prefs'
import { sessionKey, useSession } from '../app/session'
import { errorText } from '../components/feedback'
import { Field } from '../components/Field'
import { FieldErrors } from '../components/fieldErrors'
import { Page, Panel } from '../components/page'
import { localZone } from '../format/times'
import { useT } from '../i18n'
import { zoneOptions } from '../monitor/sections'

export default function Profile() {
  const t = useT()
  const { message } = App.useApp()
  const { user } = useSession()
  const client = useQueryClient()
  const { language, theme, zone, setPrefs } = usePrefs()
  const [display, setDisplay] = useState(user.display_name)
  const [old, setOld] = useState('')
  const [next, setNext] = useState('')
  const [again, setAgain] = useState('')
  const settings = useMutation({
    mutationFn: (p: Record<string, string>) => patch('/api/v1/me', p),
    onSuccess: () => client.invalidateQueries({ queryKey: sessionKey }),
    onError: (e) => void message.error(errorText(e, t)),
  })
  const password = useMutation({
    mutationFn: () => put('/api/v1/me/password', { old_password: old, new_password: next }),
    onSuccess: () => { setOld(''); setNext(''); setAgain(''); void message.success(t('profile.changed')) },
  })
  const errors = FieldErrors.of(password.error)
  const differ = again !== '' && again !== next
  return (
    <Page title={t('shell.profile')} about={t('profile.about', { name: user.username })}>
      <div className="grid-2">
        <Panel title={t('profile.settings')}>
          <div className="stack" style={{ gap: 12, maxWidth: 420 }}>
            <Field label={t('user.display')}>{(a) => <Input {...a} maxLength={64} value={display} onChange={(e) => setDisplay(e.target.value)} onBlur={() => display !== user.display_name && settings.mutate({ display_name: display })} />}</Field>
            <Field label={t('shell.language')}>{(a) => <Select {...a} style={{ width: '100%' }} value={language} onChange={(v: Language) => { setPrefs({ language: v }); settings.mutate({ language: v }) }} options={[{ value: 'en', label: 'English' }, { value: 'zh-CN', label: '简体中文' }]} />}</Field>
            <Field label={t('shell.theme')}>{(a) => <Select {...a} style={{ width: '100%' }} value={theme} onChange={(v: Theme) => { setPrefs({ theme: v }); settings.mutate({ theme: v }) }} options={(['light', 'dark', 'system'] as const).map((k) => ({ value: k, label: t(`theme.${k}`) }))} />}</Field>
            <Field label={t('profile.zone')} hint={t('profile.zone.hint', { zone: localZone() })}>{(a) => <Select {...a} showSearch style={{ width: '100%' }} value={zone} onChange={(v: string) => { setPrefs({ zone: v }); settings.mutate({ timezone: v }) }} options={zoneOptions} />}</Field>
          </div>
        </Panel>
        <Panel title={t('profile.password')}>
          <form className="stack" style={{ gap: 12, maxWidth: 420 }} onSubmit={(e) => { e.preventDefault(); password.mutate() }}>
            {password.isError && <Alert type="error" showIcon role="alert" title={errorText(password.error, t)} />}
            <Field label={t('login.current')} bad={errors.at('old_password')}>{(a) => <Input.Password {...a} autoComplete="current-password" value={old} onChange={(e) => setOld(e.target.value)} />}</Field>
            <Field label={t('login.new')} hint={t('login.new.hint')} bad={errors.at('new_password')}>{(a) => <Input.Password {...a} autoComplete="new-password" value={next} onChange={(e) => setNext(e.target.value)} />}</Field>
            <Field label={t('login.again')} bad={differ ? t('login.differ') : undefined}>{(a) => <Input.Password {...a} autoComplete="new-password" value={again} onChange={(e) => setAgain(e.target.value)} />}</Field>
            <div><Button type="primary" htmlType="submit" loading={password.isPending} disabled={old === '' || next === '' || next !== again}>{t('login.change')}</Button></div>
          </form>
        </Panel>
      </div>
    </Page>
  )
}
