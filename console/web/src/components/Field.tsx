/** A form field: what it is, what it is for, what is wrong with it. */
import { useId, type ReactNode } from 'react'

export interface FieldProps {
  label: string
  hint?: ReactNode
  bad?: string
  /** wide fields take the whole row. */
  wide?: boolean
  children: (a: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: true; status?: 'error' }) => ReactNode
}

export function Field({ label, hint, bad, wide, children }: FieldProps) {
  const id = useId()
  const about = bad || hint ? id + '-about' : undefined
  return (
    <div className="field" style={wide ? { gridColumn: '1 / -1' } : undefined}>
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': about, ...(bad ? { 'aria-invalid': true as const, status: 'error' as const } : {}) })}
      {(bad || hint) && <div id={about}>{bad ? <div className="bad" role="alert">{bad}</div> : <div className="hint">{hint}</div>}</div>}
    </div>
  )
}
