import { Button } from 'antd'
import { Link } from 'react-router'
import { Page } from '../components/page'
import { Teach } from '../components/feedback'
import { useT } from '../i18n'

export default function NotFound() {
  const t = useT()
  return (
    <Page title={t('notFound.title')}>
      <Teach title={t('notFound.title')} text={t('notFound.text')} action={<Link to="/"><Button type="primary">{t('nav.home')}</Button></Link>} />
    </Page>
  )
}
