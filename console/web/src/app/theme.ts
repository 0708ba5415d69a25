import { theme, type ThemeConfig } from 'antd'
import { stateColors } from '../charts/palette'

/** themeFor is the look of Ant Design's parts: dense, one accent, colours for states only. */
export function themeFor(dark: boolean): ThemeConfig {
  const c = stateColors[dark ? 'dark' : 'light']
  return {
    algorithm: dark ? [theme.darkAlgorithm, theme.compactAlgorithm] : [theme.defaultAlgorithm, theme.compactAlgorithm],
    token: {
      colorPrimary: dark ? '#3b82f6' : c.accent, colorSuccess: c.ok, colorWarning: c.warn, colorError: c.error, colorInfo: dark ? '#3b82f6' : c.accent, colorLink: c.accent,
      // The compact algorithm takes two pixels off: text is 14 px.
      fontSize: 16, borderRadius: 6, wireframe: false, motion: false,
      fontFamily: 'var(--sans)',
      ...(dark
        ? { colorBgBase: '#0f141b', colorBgLayout: '#0b0f15', colorBgContainer: '#141b24', colorBgElevated: '#1a222d', colorBorder: '#3a4654', colorBorderSecondary: '#2b3440', colorSplit: '#2b3440', colorWarningBg: '#2b230f', colorWarningBorder: '#6b5416', colorErrorBg: '#2d1715', colorErrorBorder: '#7a332d', colorTextSecondary: '#a3afbd', colorTextDescription: '#a3afbd', colorTextTertiary: '#95a1b0', colorTextPlaceholder: '#8b97a6' }
        : { colorWarningBg: '#fff8e8', colorWarningBorder: '#e8c987', colorErrorBg: '#fdf0ef', colorErrorBorder: '#eeb4b0', colorBgLayout: '#f4f6f8', colorTextSecondary: '#4b5563', colorTextDescription: '#4b5563', colorTextTertiary: '#5b6675', colorTextPlaceholder: '#6b7683' }),
    },
    components: {
      Layout: { siderBg: dark ? '#10161e' : '#ffffff', headerBg: dark ? '#10161e' : '#ffffff', headerHeight: 48, headerPadding: '0 16px', triggerBg: dark ? '#10161e' : '#ffffff', lightTriggerBg: '#ffffff', triggerColor: dark ? '#a3afbd' : '#4b5563', lightTriggerColor: '#4b5563' },
      Menu: { itemHeight: 32, darkItemBg: '#10161e', groupTitleFontSize: 12, darkGroupTitleColor: '#95a1b0', groupTitleColor: '#5b6675', darkItemSelectedBg: '#1f3a66', activeBarBorderWidth: 0 },
      Tabs: { itemSelectedColor: c.accent, itemHoverColor: c.accent, itemActiveColor: c.accent, inkBarColor: c.accent },
      Table: { cellPaddingBlockSM: 6, cellPaddingBlock: 8 },
    },
  }
}
