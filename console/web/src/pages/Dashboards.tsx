/** All dashboards of the workspace; key ones stand first. */
import { DashboardOutlined, ImportOutlined, PlusOutlined, PushpinFilled } from '@ant-design/icons'
import { Button, Select } from 'antd'
import { useState } from 'react'
import { Link } from 'react-router'
import { inWorkspace } from '../api/client'
import type { Dashboard } from '../api/types'
import { Star } from '../app/favourites'
import { useRights } from '../app/session'
import { useUrlStates, useWorkspace } from '../app/url'
import { Teach } from '../components/feedback'
import { ListTable, SearchField, useList, type Column } from '../components/ListTable'
import { Page, Panel } from '../components/page'
import { Ago } from '../components/time'
import { GrafanaImport } from '../dashboard/GrafanaImport'
import { useT } from '../i18n'

export default function Dashboards() {
  const t = useT()
  const workspace = useWorkspace()
  const { edit } = useRights()
  const [params, set] = useUrlStates()
  const [importing, setImporting] = useState(false)
  const which = params.get('which') ?? ''
  const list = useList<Dashboard>(inWorkspace(workspace, 'dashboards'), { which })
  const base = `/w/${encodeURIComponent(workspace)}/dashboards`
  const create = edit && <Link to={`${base}/new`}><Button type="primary" icon={<PlusOutlined />}>{t('dashboards.create')}</Button></Link>
  const columns: Column<Dashboard>[] = [
    { title: '', width: 48, render: (_, d) => <Star kind="dashboard" name={d.name} small /> },
    { title: t('dashboard.title'), field: 'title', render: (_, d) => <><Link to={`${base}/${d.name}`}>{d.spec.title}</Link>{d.spec.key && <span className="muted nowrap"> <PushpinFilled aria-hidden /> {t('dashboard.key')}</span>}{d.spec.description && <div className="muted">{d.spec.description}</div>}</> },
    { title: t('monitor.name'), field: 'name', render: (_, d) => <code>{d.name}</code> },
    { title: t('dashboard.reports'), align: 'right', field: 'reports', render: (_, d) => d.spec.reports?.length ?? 0 },
    { title: t('list.updated'), field: 'updated_at', render: (_, d) => <Ago at={d.updated_at} /> },
  ]
  return (
    <Page title={t('nav.dashboards')} about={t('dashboards.about')} actions={<>{edit && <Button icon={<ImportOutlined />} onClick={() => setImporting(true)}>{t('grafana.import')}</Button>}{create}</>}>
      {importing && <GrafanaImport onClose={() => setImporting(false)} />}
      <Panel className="flush" label={t('nav.dashboards')} extra={
        <>
          <SearchField />
          <Select aria-label={t('dashboards.which')} style={{ width: 180 }} value={which} onChange={(v) => set({ which: v, page: undefined })} options={(['', 'key', 'mine'] as const).map((v) => ({ value: v, label: v === '' ? t('dashboards.all') : t(`dashboards.${v}`) }))} />
        </>
      }>
        <ListTable list={list} columns={columns} rowKey="name" label={t('nav.dashboards')} filtered={which !== ''} empty={<Teach title={t('dashboards.empty')} text={t('dashboards.empty.text')} image={<DashboardOutlined style={{ fontSize: 48 }} />} action={create} command="pharos apply -f examples/shop/pharos/dashboards.yaml" />} />
      </Panel>
    </Page>
  )
}
