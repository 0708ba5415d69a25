/** The effective time of a rule: ranges of the week, days off and days that are worked. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Input, Select } from 'antd'
import type { ActiveTime } from '../api/types'
import { Field } from '../components/Field'
import type { FieldErrors } from '../components/fieldErrors'
import { useT } from '../i18n'

const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

interface Props {
  active?: ActiveTime
  path: string
  errors: FieldErrors
  onChange: (a: ActiveTime | undefined) => void
}

export function ActiveForm({ active, path, errors, onChange }: Props) {
  const t = useT()
  const weekly = active?.weekly ?? []
  const set = (p: Partial<ActiveTime>) => {
    const next = { ...active, ...p }
    onChange(next.weekly?.length || next.off?.length || next.work?.length ? next : undefined)
  }
  const setRange = (i: number, p: Partial<NonNullable<ActiveTime['weekly']>[number]>) => set({ weekly: weekly.map((w, j) => (j === i ? { ...w, ...p } : w)) })
  return (
    <div className="stack" style={{ gap: 8 }}>
      {weekly.length === 0 && <p className="muted" style={{ margin: 0 }}>{t('active.always')}</p>}
      {weekly.map((w, i) => (
        <div key={i} className="row" role="group" aria-label={t('active.range', { n: i + 1 })}>
          <Select aria-label={t('active.days')} mode="multiple" style={{ minWidth: 220, flex: 1 }} placeholder={t('active.everyDay')} value={w.days ?? []} onChange={(v: string[]) => setRange(i, { days: v })} options={days.map((d) => ({ value: d, label: t(`day.${d}`) }))} />
          <Input aria-label={t('active.from')} status={errors.at(`${path}.weekly[${i}].from`) ? 'error' : undefined} style={{ width: 90 }} value={w.from} onChange={(e) => setRange(i, { from: e.target.value })} />
          –
          <Input aria-label={t('active.to')} status={errors.at(`${path}.weekly[${i}].to`) ? 'error' : undefined} style={{ width: 90 }} value={w.to} onChange={(e) => setRange(i, { to: e.target.value })} />
          <Button type="text" icon={<DeleteOutlined />} aria-label={t('active.remove', { n: i + 1 })} onClick={() => set({ weekly: weekly.filter((_, j) => j !== i) })} />
        </div>
      ))}
      {errors.below(path + '.weekly') && <div className="field"><div className="bad" role="alert">{errors.below(path + '.weekly')}</div></div>}
      <div><Button size="small" icon={<PlusOutlined />} onClick={() => set({ weekly: [...weekly, { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '09:00', to: '18:00' }] })}>{t('active.add')}</Button></div>
      <div className="fields">
        {(['off', 'work'] as const).map((k) => (
          <Field key={k} label={t(`active.${k}`)} hint={t(`activeHint.${k}`)} bad={errors.below(`${path}.${k}`)}>
            {(a) => <Select {...a} mode="tags" style={{ width: '100%' }} open={false} suffixIcon={null} placeholder="2027-01-01" value={active?.[k] ?? []} onChange={(v: string[]) => set({ [k]: v })} />}
          </Field>
        ))}
      </div>
    </div>
  )
}
