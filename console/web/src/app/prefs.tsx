/** What a person has chosen: language, theme, time zone. Kept in the browser, and with the user on the server. */
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react'
import { setApiLanguage } from '../api/client'
import { localZone } from '../format/times'
import { i18n } from '../i18n'

export type Language = 'en' | 'zh-CN'
export type Theme = 'light' | 'dark' | 'system'

export interface Prefs {
  language: Language
  theme: Theme
  zone: string
}

interface PrefsContext extends Prefs {
  dark: boolean
  setPrefs: (p: Partial<Prefs>) => void
}

const storageKey = 'pharos-prefs'

function initial(): Prefs {
  const fallback: Prefs = { language: navigator.language.startsWith('zh') ? 'zh-CN' : 'en', theme: 'system', zone: localZone() }
  try {
    return { ...fallback, ...(JSON.parse(localStorage.getItem(storageKey) ?? '{}') as Partial<Prefs>) }
  } catch {
    return fallback
  }
}

const Context = createContext<PrefsContext | null>(null)

export function PrefsProvider({ children }: { children: ReactNode }) {
  const [prefs, set] = useState(initial)
  const [systemDark, setSystemDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches)
  useEffect(() => {
    const media = matchMedia('(prefers-color-scheme: dark)')
    const follow = () => setSystemDark(media.matches)
    media.addEventListener('change', follow)
    return () => media.removeEventListener('change', follow)
  }, [])
  const dark = prefs.theme === 'dark' || (prefs.theme === 'system' && systemDark)
  useEffect(() => {
    void i18n.changeLanguage(prefs.language)
    setApiLanguage(prefs.language)
    document.documentElement.lang = prefs.language
    document.documentElement.dataset.theme = dark ? 'dark' : 'light'
    localStorage.setItem(storageKey, JSON.stringify(prefs))
  }, [prefs, dark])
  const value = useMemo(() => ({ ...prefs, dark, setPrefs: (p: Partial<Prefs>) => set((old) => ({ ...old, ...p })) }), [prefs, dark])
  return <Context value={value}>{children}</Context>
}

export function usePrefs(): PrefsContext {
  const c = useContext(Context)
  if (!c) throw new Error('usePrefs needs PrefsProvider')
  return c
}
