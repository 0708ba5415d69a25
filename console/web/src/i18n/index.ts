/** Texts in English and simplified Chinese. Each entry has both beside each other, so that none can be forgotten. */
import i18next from 'i18next'
import { initReactI18next, useTranslation } from 'react-i18next'
import { texts, type TextKey } from './texts'

const english: Record<string, string> = {}
const chinese: Record<string, string> = {}
for (const [key, [en, zh]] of Object.entries(texts) as [string, readonly [string, string]][]) {
  english[key] = en
  chinese[key] = zh
}

export const i18n = i18next.createInstance()

void i18n.use(initReactI18next).init({
  lng: 'en',
  fallbackLng: 'en',
  keySeparator: false,
  nsSeparator: false,
  showSupportNotice: false,
  interpolation: { escapeValue: false },
  resources: { en: { translation: english }, 'zh-CN': { translation: chinese } },
})

export type Translate = (key: TextKey, values?: Record<string, string | number>) => string
export type { TextKey }

/** useT returns the function that gives a text in the person's language. */
export function useT(): Translate {
  const { t } = useTranslation(undefined, { i18n })
  return t as unknown as Translate
}
