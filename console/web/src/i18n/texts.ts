import { alarmTexts } from './texts.alarm'
import { commonTexts } from './texts.common'
import { dashboardTexts } from './texts.dashboard'
import { diagnosisTexts } from './texts.diagnosis'
import { lineTexts } from './texts.lines'
import { monitorTexts } from './texts.monitor'
import { organiseTexts } from './texts.organise'
import { placeTexts } from './texts.places'
import { ruleTexts } from './texts.rule'

/** texts holds each text as [English, 简体中文]. */
export const texts = { ...commonTexts, ...monitorTexts, ...alarmTexts, ...placeTexts, ...diagnosisTexts, ...organiseTexts, ...dashboardTexts, ...lineTexts, ...ruleTexts } as const

export type TextKey = keyof typeof texts
