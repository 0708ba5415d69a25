import { Select } from 'antd'
import { Field } from '../components/Field'
import { useT } from '../i18n'

/** expiry is the moment so many days ahead; 0 days: never. */
export function expiry(days: number): string | undefined {
  return days === 0 ? undefined : new Date(Date.now() + days * 86_400_000).toISOString()
}

export function ExpirySelect({ days, bad, onChange }: { days: number; bad?: string; onChange: (days: number) => void }) {
  const t = useT()
  return (
    <Field label={t('token.expires')} bad={bad}>
      {(a) => <Select {...a} style={{ width: '100%' }} value={days} onChange={onChange} options={[1, 7, 30, 90, 365, 0].map((d) => ({ value: d, label: d === 0 ? t('token.never') : t('token.days', { n: d }) }))} />}
    </Field>
  )
}
