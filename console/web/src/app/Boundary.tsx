import { Button, Result } from 'antd'
import { Component, type ReactNode } from 'react'
import { i18n } from '../i18n'

/** Boundary shows that a page broke instead of a blank screen. */
export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null as Error | null }
  static getDerivedStateFromError(error: Error) {
    return { error }
  }
  override render() {
    if (!this.state.error) return this.props.children
    return (
      <Result
        status="error" title={i18n.t('error.page')} subTitle={this.state.error.message}
        extra={<Button type="primary" onClick={() => location.reload()}>{i18n.t('action.reload')}</Button>}
      />
    )
  }
}
