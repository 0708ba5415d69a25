/** Asks before something is destroyed: names it and says what follows. */
import { App } from 'antd'
import { errorText } from './feedback'
import { useT } from '../i18n'

export interface Danger {
  title: string
  what: string
  ok: string
  run: () => Promise<unknown>
  done?: string
}

export function useConfirm(): (d: Danger) => void {
  const { modal, message } = App.useApp()
  const t = useT()
  return (d) => {
    modal.confirm({
      title: d.title, content: d.what, okText: d.ok, okButtonProps: { danger: true }, cancelText: t('action.cancel'), autoFocusButton: 'cancel',
      onOk: async () => {
        try {
          await d.run()
          if (d.done) void message.success(d.done)
        } catch (e) {
          void message.error(errorText(e, t))
        }
      },
    })
  }
}
