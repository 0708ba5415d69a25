import { Input, InputNumber, Select, Switch } from 'antd'
import { useState } from 'react'
import { Field, type FieldProps } from '../components/Field'
import type { FieldErrors } from '../components/fieldErrors'
import { useT } from '../i18n'
import { pairsText, readLines, readPairs, valueAt, withValue, type FieldDef, type Values } from './channelKinds'

interface Props {
  fields: FieldDef[]
  value: Values
  errors: FieldErrors
  /** prefix of the paths in the server's messages. */
  prefix: string
  /** kept is what to say of secrets that are stored. */
  kept?: string
  onChange: (next: Values) => void
}

/** ChannelFields shows the fields of a channel's part. */
export function ChannelFields({ fields, value, errors, prefix, kept, onChange }: Props) {
  const t = useT()
  return (
    <div className="fields">
      {fields.filter((f) => !f.when || f.when(value)).map((f) => (
        <Field key={f.path} label={t(f.label)} hint={(f.kind === 'secret' && kept) || (f.hint && t(f.hint))} bad={errors.below(`${prefix}.${f.path}`)} wide={['secret', 'area', 'pairs', 'lines'].includes(f.kind)}>
          {(a) => <Control a={a} field={f} value={valueAt(value, f.path)} onChange={(v) => onChange(withValue(value, f.path, v))} />}
        </Field>
      ))}
    </div>
  )
}

function Control({ a, field: f, value, onChange }: { a: Parameters<FieldProps['children']>[0]; field: FieldDef; value: unknown; onChange: (v: unknown) => void }) {
  const t = useT()
  switch (f.kind) {
    case 'secret':
      return <Input.Password {...a} autoComplete="new-password" placeholder={f.placeholder} value={(value as string | undefined) ?? ''} onChange={(x) => onChange(x.target.value)} />
    case 'tags':
      return <Select {...a} mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ';', ' ']} style={{ width: '100%' }} placeholder={f.placeholder} value={(value as string[] | undefined) ?? []} onChange={(v: string[]) => onChange(v)} />
    case 'switch':
      return <Switch id={a.id} checked={value === true} onChange={onChange} />
    case 'area':
      return <Input.TextArea {...a} className="mono" autoSize={{ minRows: 3, maxRows: 12 }} placeholder={f.placeholder} value={(value as string | undefined) ?? ''} onChange={(x) => onChange(x.target.value)} />
    case 'pairs':
      return <Lines a={a} placeholder={f.placeholder} text={pairsText(value as Record<string, string> | undefined)} onChange={(text) => onChange(readPairs(text))} />
    case 'lines':
      return <Lines a={a} placeholder={f.placeholder} text={((value as string[] | undefined) ?? []).join('\n')} onChange={(text) => onChange(readLines(text))} />
    case 'levels':
      return <Select {...a} mode="multiple" style={{ width: '100%' }} value={(value as string[] | undefined) ?? []} onChange={(v: string[]) => onChange(v)} options={['P0', 'P1', 'P2', 'P3', 'P4'].map((l) => ({ value: l, label: l }))} />
    case 'number':
      return <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} min={0} precision={0} value={value as number | undefined} onChange={(v) => onChange(v ?? undefined)} />
    case 'select':
      return <Select {...a} style={{ width: '100%' }} value={(value as string | undefined) ?? f.options?.[0]?.value} onChange={onChange} options={f.options?.map((o) => ({ value: o.value, label: t(o.label) }))} />
    case 'text':
      return <Input {...a} autoComplete="off" placeholder={f.placeholder} value={(value as string | undefined) ?? ''} onChange={(x) => onChange(x.target.value)} />
  }
}

/** Lines keeps the text as it is typed; what it means so far is the value. */
function Lines({ a, text, placeholder, onChange }: { a: Parameters<FieldProps['children']>[0]; text: string; placeholder?: string; onChange: (text: string) => void }) {
  const [typed, setTyped] = useState(text)
  return <Input.TextArea {...a} className="mono" autoSize={{ minRows: 2, maxRows: 8 }} placeholder={placeholder} value={typed} onChange={(x) => { setTyped(x.target.value); onChange(x.target.value) }} />
}
