/** What most monitors leave as it is. */
import { Collapse, Input, InputNumber, Select } from 'antd'
import { Field } from '../components/Field'
import { useT } from '../i18n'
import type { SectionProps } from './sections'
import { defaultsOf } from './spec'

export function AdvancedSection({ spec, change, errors }: SectionProps) {
  const t = useT()
  const limits = defaultsOf(spec.type)
  const bad = ['start_at', 'multiline_start', 'encoding', 'symlink_part', 'key_limit', 'flow_limit_kb_min', 'scope', 'deadline_s'].some((f) => errors.below('spec.' + f))
  const names = (key: 'envs' | 'azs' | 'cells' | 'instances', label: string, hint: string) => (
    <Field label={label} hint={hint} bad={errors.below('spec.scope.' + key)}>
      {(a) => <Select {...a} mode="tags" tokenSeparators={[',', ' ']} style={{ width: '100%' }} placeholder={key === 'envs' ? 'prod' : t('advanced.all')} options={key === 'envs' ? ['prod', 'gray', 'pre'].map((v) => ({ value: v, label: v })) : undefined} value={spec.scope?.[key] ?? []} onChange={(v: string[]) => change({ scope: { ...spec.scope, [key]: v } })} />}
    </Field>
  )
  return (
    <Collapse
      style={{ marginBottom: 16 }} defaultActiveKey={bad || location.hash === '#advanced' ? ['a'] : []}
      items={[{
        key: 'a', label: t('advanced.title'),
        children: (
          <div className="fields">
            <Field label={t('advanced.startAt')} hint={t('advanced.startAt.hint')} bad={errors.at('spec.start_at')}>
              {(a) => <Select {...a} style={{ width: '100%' }} value={spec.start_at ?? 'end'} onChange={(v) => change({ start_at: v })} options={[{ value: 'end', label: t('advanced.end') }, { value: 'beginning', label: t('advanced.beginning') }]} />}
            </Field>
            <Field label={t('advanced.encoding')} hint={t('advanced.encoding.hint')} bad={errors.at('spec.encoding')}>
              {(a) => <Select {...a} style={{ width: '100%' }} value={spec.encoding ?? 'auto'} onChange={(v) => change({ encoding: v })} options={(['auto', 'utf-8', 'gbk', 'gb18030', 'big5', 'shift_jis', 'euc-kr', 'iso-8859-1'] as const).map((v) => ({ value: v, label: v === 'auto' ? t('advanced.auto') : v }))} />}
            </Field>
            <Field label={t('advanced.multiline')} hint={t('advanced.multiline.hint')} bad={errors.at('spec.multiline_start')}>
              {(a) => <Input {...a} className="mono" placeholder="^\d{4}-" maxLength={500} value={spec.multiline_start ?? ''} onChange={(e) => change({ multiline_start: e.target.value || undefined })} />}
            </Field>
            <Field label={t('advanced.symlink')} hint={t('advanced.symlink.hint')} bad={errors.at('spec.symlink_part')}>
              {(a) => <Input {...a} className="mono" placeholder="/home/admin/logs" value={spec.symlink_part ?? ''} onChange={(e) => change({ symlink_part: e.target.value || undefined })} />}
            </Field>
            <Field label={t('advanced.keyLimit')} hint={t('advanced.keyLimit.hint')} bad={errors.at('spec.key_limit')}>
              {(a) => <Select {...a} style={{ width: '100%' }} value={spec.key_limit || limits.keys} onChange={(v) => change({ key_limit: v })} options={[100, 500, 1000, 5000, 10_000, 50_000, 100_000].filter((v) => limits.keys === 1000 || v <= limits.keys).map((v) => ({ value: v, label: v.toLocaleString() }))} />}
            </Field>
            <Field label={t('advanced.flow')} hint={t('advanced.flow.hint')} bad={errors.at('spec.flow_limit_kb_min')}>
              {(a) => <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} min={0} precision={0} suffix="KB/min" placeholder={t('advanced.noLimit')} value={spec.flow_limit_kb_min || null} onChange={(v) => change({ flow_limit_kb_min: v ?? undefined })} />}
            </Field>
            <Field label={t('advanced.deadline')} hint={t('advanced.deadline.hint')} bad={errors.at('spec.deadline_s')}>
              {(a) => <InputNumber id={a.id} status={a.status} style={{ width: '100%' }} min={10} max={300} precision={0} suffix="s" value={spec.deadline_s || limits.deadline} onChange={(v) => change({ deadline_s: v ?? undefined })} />}
            </Field>
            {names('envs', t('advanced.envs'), t('advanced.envs.hint'))}
            {names('azs', t('advanced.azs'), t('advanced.scope.hint'))}
            {names('cells', t('advanced.cells'), t('advanced.scope.hint'))}
            {names('instances', t('advanced.instances'), t('advanced.instances.hint'))}
          </div>
        ),
      }]}
    />
  )
}
