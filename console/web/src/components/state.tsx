/** States as an icon and a word; the colour only repeats what they say. */
import {
  CheckCircleFilled, ClockCircleFilled, CloseCircleFilled, ExclamationCircleFilled, MinusCircleOutlined, PauseCircleFilled, QuestionCircleOutlined, WarningFilled,
} from '@ant-design/icons'
import type { ReactNode } from 'react'
import { useT } from '../i18n'

export type Kind = 'ok' | 'warn' | 'error' | 'none' | 'paused' | 'clock' | 'unknown' | 'incomplete'

const icons: Record<Kind, ReactNode> = {
  ok: <CheckCircleFilled />, warn: <WarningFilled />, error: <CloseCircleFilled />, none: <MinusCircleOutlined />,
  paused: <PauseCircleFilled />, clock: <ClockCircleFilled />, unknown: <QuestionCircleOutlined />, incomplete: <ExclamationCircleFilled />,
}

const colors: Record<Kind, string> = { ok: 'ok', warn: 'warn', error: 'error', none: 'none', paused: 'none', clock: 'warn', unknown: 'none', incomplete: 'warn' }

export function State({ kind, children, title }: { kind: Kind; children: ReactNode; title?: string }) {
  return (
    <span className={'state state-' + colors[kind]} title={title}>
      <span aria-hidden>{icons[kind]}</span> {children}
    </span>
  )
}

export function HealthState({ health, reason }: { health: string; reason?: string }) {
  const t = useT()
  switch (health) {
    case 'healthy':
      return <State kind="ok">{t('health.healthy')}</State>
    case 'abnormal':
      return <State kind="error" title={reason}>{t('health.abnormal')}</State>
    case 'clock_skew':
      return <State kind="clock" title={reason}>{t('health.clock_skew')}</State>
  }
  return <State kind="unknown">{t('health.unknown')}</State>
}

export function AlertState({ state }: { state: string }) {
  const t = useT()
  switch (state) {
    case 'firing':
      return <State kind="error">{t('alert.firing')}</State>
    case 'recovered':
      return <State kind="ok">{t('alert.recovered')}</State>
    case 'closed':
      return <State kind="none">{t('alert.closed')}</State>
    case 'ok':
      return <State kind="ok">{t('alert.ok')}</State>
    case 'repeat':
      return <State kind="error">{t('alert.repeat')}</State>
    case 'acknowledged':
      return <State kind="none">{t('alert.acknowledged')}</State>
    case 'test':
      return <State kind="none">{t('alert.test')}</State>
    case 'disabled':
      return <State kind="paused">{t('alert.disabled')}</State>
    case 'error':
      return <State kind="error">{t('alert.error')}</State>
  }
  return <State kind="unknown">{t('alert.unknown')}</State>
}

/** Level is an alarm level; its weight is in the word, P0 the worst. */
export function Level({ level }: { level: string }) {
  const t = useT()
  return <span className={'level level-' + level} title={t('level.' + level as 'level.P0')}>{level}</span>
}
