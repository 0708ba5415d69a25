import { alarmTexts } from './texts.alarm'
import { commonTexts } from './texts.common'
import { dashboardTexts } from './texts.dashboard'
import { diagnosisTexts } from './texts.diagnosis'
import { monitorTexts } from './texts.monitor'
import { organiseTexts } from './texts.organise'
import { placeTexts } from './texts.places'

/** texts holds each text as [English, 简体中文]. */
export const texts = { ...commonTexts, ...monitorTexts, ...alarmTexts, ...placeTexts, ...diagnosisTexts, ...organiseTexts, ...dashboardTexts } as const

export type TextKey = keyof typeof texts
