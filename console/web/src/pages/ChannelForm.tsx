import { useQueryClient } from '@tanstack/react-query'
import { App, Input, InputNumber, Select, Switch } from 'antd'
import { useState } from 'react'
import { inWorkspace, post, put } from '../api/client'
import type { Channel, ChannelSpec } from '../api/types'
import { useWorkspace } from '../app/url'
import { Field } from '../components/Field'
import type { FieldErrors } from '../components/fieldErrors'
import { FormModal } from '../components/FormModal'
import { useT } from '../i18n'
import { nameFrom } from '../monitor/spec'
import { ChannelFields } from './ChannelFields'
import { cleaned, complete, fieldsOf, pairsText, readPairs, type Kind, type Values } from './channelKinds'

/** order of the kinds in the list. */
const kinds = ['dingtalk', 'wecom', 'feishu', 'slack', 'pagerduty', 'gateway', 'aliyun', 'tencent', 'twilio', 'alertmanager', 'webhook', 'mail'] as const

function empty(kind: Kind): ChannelSpec {
  switch (kind) {
    case 'dingtalk':
      return { title: '', type: kind, dingtalk: { url: '', secret: '' } }
    case 'webhook':
      return { title: '', type: kind, webhook: { url: '' } }
    case 'mail':
      return { title: '', type: kind, mail: { host: '', port: 587, tls: 'starttls', from: '', to: [] } }
    default:
      return { title: '', type: kind, [kind]: {} }
  }
}

export function ChannelForm({ channel, onClose }: { channel?: Channel; onClose: () => void }) {
  const t = useT()
  const { message } = App.useApp()
  const workspace = useWorkspace()
  const client = useQueryClient()
  const [spec, setSpec] = useState<ChannelSpec>(channel?.spec ?? empty('dingtalk'))
  const [typedName, setName] = useState(channel?.name ?? '')
  const [headers, setHeaders] = useState(pairsText(channel?.spec.webhook?.headers))
  const name = channel?.name ?? (typedName || nameFrom(spec.title, spec.type))
  const { dingtalk, webhook, mail } = spec
  const fields = fieldsOf[spec.type]
  const part = (spec[spec.type] ?? {}) as Values
  const ready = spec.title.trim() !== '' && (spec.type !== 'webhook' || !!webhook?.url) && (spec.type !== 'dingtalk' || !!channel || !!dingtalk?.url) && (spec.type !== 'mail' || (!!mail?.host && !!mail.from && mail.to.length > 0)) && (!fields || complete(fields, part, !!channel))
  const clean = (): ChannelSpec => {
    const s: ChannelSpec = { title: spec.title.trim(), type: spec.type, disabled: spec.disabled || undefined }
    // An empty secret keeps the one that is stored.
    const some = (v: string | undefined) => v || undefined
    if (spec.type === 'dingtalk' && dingtalk) s.dingtalk = { ...dingtalk, url: some(dingtalk.url) as string, secret: some(dingtalk.secret), keywords: dingtalk.keywords?.length ? dingtalk.keywords : undefined, at_mobiles: dingtalk.at_mobiles?.length ? dingtalk.at_mobiles : undefined }
    if (spec.type === 'webhook' && webhook) s.webhook = { ...webhook, headers: readPairs(headers), access_key: some(webhook.access_key), secret_key: some(webhook.secret_key) }
    if (spec.type === 'mail' && mail) s.mail = { ...mail, username: some(mail.username), password: some(mail.password) }
    if (fields) return { ...s, [spec.type]: cleaned(part) }
    return JSON.parse(JSON.stringify(s)) as ChannelSpec
  }
  const save = async () => {
    if (channel) await put(inWorkspace(workspace, 'channels', channel.name), { version: channel.version, spec: clean() })
    else await post(inWorkspace(workspace, 'channels'), { name, spec: clean() })
    await client.invalidateQueries({ queryKey: ['channels'] })
    void message.success(t('channel.saved', { name }))
  }
  const kept = channel ? t('channel.keep') : undefined
  return (
    <FormModal open title={channel ? t('channel.edit', { title: channel.spec.title }) : t('channels.create')} ok={channel ? t('action.save') : t('channel.create')} ready={ready} width={620} onClose={onClose} onSave={save}>
      {(e: FieldErrors) => (
        <>
          <div className="fields">
            <Field label={t('channel.type')}>
              {(a) => <Select {...a} style={{ width: '100%' }} disabled={!!channel} value={spec.type} onChange={(k: Kind) => setSpec({ ...empty(k), title: spec.title })} options={kinds.map((k) => ({ value: k, label: t(`channelType.${k}`) }))} />}
            </Field>
            <Field label={t('channel.title')} bad={e.at('spec.title')}>{(a) => <Input {...a} maxLength={64} value={spec.title} onChange={(x) => setSpec({ ...spec, title: x.target.value })} />}</Field>
            <Field label={t('monitor.name')} hint={channel ? t('editor.hint.nameFixed') : undefined} bad={e.at('name')}>{(a) => <Input {...a} className="mono" disabled={!!channel} value={name} onChange={(x) => setName(x.target.value)} />}</Field>
          </div>
          {dingtalk && (
            <>
              <Field label={t('channel.robotUrl')} hint={kept ?? t('channel.robotUrl.hint')} bad={e.at('spec.dingtalk.url')}>{(a) => <Input {...a} autoComplete="off" placeholder="https://oapi.dingtalk.com/robot/send?access_token=…" value={dingtalk.url ?? ''} onChange={(x) => setSpec({ ...spec, dingtalk: { ...dingtalk, url: x.target.value } })} />}</Field>
              <Field label={t('channel.signSecret')} hint={kept ?? t('channel.signSecret.hint')} bad={e.at('spec.dingtalk.secret')}>{(a) => <Input.Password {...a} autoComplete="new-password" placeholder="SEC…" value={dingtalk.secret ?? ''} onChange={(x) => setSpec({ ...spec, dingtalk: { ...dingtalk, secret: x.target.value } })} />}</Field>
              <div className="fields">
                <Field label={t('channel.keywords')} hint={t('channel.keywords.hint')} bad={e.below('spec.dingtalk.keywords')}>{(a) => <Select {...a} mode="tags" open={false} suffixIcon={null} style={{ width: '100%' }} value={dingtalk.keywords ?? []} onChange={(v: string[]) => setSpec({ ...spec, dingtalk: { ...dingtalk, keywords: v } })} />}</Field>
                <Field label={t('channel.atMobiles')} bad={e.below('spec.dingtalk.at_mobiles')}>{(a) => <Select {...a} mode="tags" open={false} suffixIcon={null} style={{ width: '100%' }} value={dingtalk.at_mobiles ?? []} onChange={(v: string[]) => setSpec({ ...spec, dingtalk: { ...dingtalk, at_mobiles: v } })} />}</Field>
                <Field label={t('channel.atAll')}>{(a) => <Switch id={a.id} checked={dingtalk.at_all ?? false} onChange={(v) => setSpec({ ...spec, dingtalk: { ...dingtalk, at_all: v } })} />}</Field>
              </div>
            </>
          )}
          {fields && <ChannelFields key={spec.type} fields={fields} value={part} errors={e} prefix={`spec.${spec.type}`} kept={kept} onChange={(v) => setSpec({ ...spec, [spec.type]: v })} />}
          {webhook && (
            <>
              <Field label="URL" hint={t('channel.webhookUrl.hint')} bad={e.at('spec.webhook.url')}>{(a) => <Input {...a} maxLength={100} placeholder="https://" value={webhook.url} onChange={(x) => setSpec({ ...spec, webhook: { ...webhook, url: x.target.value } })} />}</Field>
              <Field label={t('channel.headers')} hint={t('channel.headers.hint')} bad={e.at('spec.webhook.headers')}>{(a) => <Input.TextArea {...a} className="mono" autoSize={{ minRows: 2, maxRows: 6 }} placeholder="X-Team: payments" value={headers} onChange={(x) => setHeaders(x.target.value)} />}</Field>
              <div className="fields">
                <Field label="Access key" bad={e.at('spec.webhook.access_key') ?? e.at('spec.webhook')}>{(a) => <Input {...a} autoComplete="off" value={webhook.access_key ?? ''} onChange={(x) => setSpec({ ...spec, webhook: { ...webhook, access_key: x.target.value } })} />}</Field>
                <Field label="Secret key" hint={kept ?? t('channel.secretKey.hint')} bad={e.at('spec.webhook.secret_key')}>{(a) => <Input.Password {...a} autoComplete="new-password" value={webhook.secret_key ?? ''} onChange={(x) => setSpec({ ...spec, webhook: { ...webhook, secret_key: x.target.value } })} />}</Field>
              </div>
            </>
          )}
          {mail && (
            <div className="fields">
              <Field label={t('channel.smtpHost')} bad={e.at('spec.mail.host')}>{(a) => <Input {...a} value={mail.host} onChange={(x) => setSpec({ ...spec, mail: { ...mail, host: x.target.value } })} />}</Field>
              <Field label={t('channel.port')} bad={e.at('spec.mail.port')}>{(a) => <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} min={1} max={65535} precision={0} value={mail.port} onChange={(v) => setSpec({ ...spec, mail: { ...mail, port: v ?? 587 } })} />}</Field>
              <Field label={t('channel.tls')} bad={e.at('spec.mail.tls')}>{(a) => <Select {...a} style={{ width: '100%' }} value={mail.tls ?? 'starttls'} onChange={(v) => setSpec({ ...spec, mail: { ...mail, tls: v } })} options={[{ value: 'starttls', label: 'STARTTLS' }, { value: 'tls', label: 'TLS' }, { value: 'none', label: t('channel.noTls') }]} />}</Field>
              <Field label={t('login.username')} bad={e.at('spec.mail.username')}>{(a) => <Input {...a} autoComplete="off" value={mail.username ?? ''} onChange={(x) => setSpec({ ...spec, mail: { ...mail, username: x.target.value } })} />}</Field>
              <Field label={t('login.password')} hint={kept} bad={e.at('spec.mail.password')}>{(a) => <Input.Password {...a} autoComplete="new-password" value={mail.password ?? ''} onChange={(x) => setSpec({ ...spec, mail: { ...mail, password: x.target.value } })} />}</Field>
              <Field label={t('channel.from')} bad={e.at('spec.mail.from')}>{(a) => <Input {...a} placeholder="pharos@example.com" value={mail.from} onChange={(x) => setSpec({ ...spec, mail: { ...mail, from: x.target.value } })} />}</Field>
              <Field label={t('channel.to')} bad={e.below('spec.mail.to')} wide>{(a) => <Select {...a} mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ';', ' ']} style={{ width: '100%' }} value={mail.to} onChange={(v: string[]) => setSpec({ ...spec, mail: { ...mail, to: v } })} />}</Field>
            </div>
          )}
          <Field label={t('channel.enabledSwitch')}>{(a) => <Switch id={a.id} checked={!spec.disabled} onChange={(v) => setSpec({ ...spec, disabled: !v })} />}</Field>
        </>
      )}
    </FormModal>
  )
}
