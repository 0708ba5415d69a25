/** The folders of log monitors: choose one to see what stands in it, make, change, merge and delete. */
import { DeleteOutlined, EditOutlined, FolderAddOutlined, FolderOutlined, InboxOutlined, MergeCellsOutlined, MoreOutlined, UnorderedListOutlined } from '@ant-design/icons'
import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query'
import { Button, Checkbox, Dropdown, Input, InputNumber, Tree, TreeSelect } from 'antd'
import type { DataNode } from 'antd/es/tree'
import { useState } from 'react'
import { ApiError, del, get, inWorkspace, post, put } from '../api/client'
import type { Folder, FolderTree as FolderList } from '../api/types'
import { useRights } from '../app/session'
import { useUrlStates, useWorkspace } from '../app/url'
import { useConfirm } from '../components/confirm'
import { Loaded } from '../components/feedback'
import { Field } from '../components/Field'
import { FormModal } from '../components/FormModal'
import { Panel } from '../components/page'
import { useT } from '../i18n'
import { maxDepth, optionsOf, top, treeOf, without, type FolderNode } from './folders'

export function useFolders(): UseQueryResult<FolderList> {
  const workspace = useWorkspace()
  return useQuery({ queryKey: ['folders', workspace], queryFn: ({ signal }) => get<FolderList>(inWorkspace(workspace, 'folders:tree'), undefined, signal), refetchInterval: 30_000 })
}

/** useOrganised reads again what depends on where monitors stand. */
export function useOrganised(): () => Promise<unknown> {
  const client = useQueryClient()
  return () => Promise.all([client.invalidateQueries({ queryKey: ['folders'] }), client.invalidateQueries({ queryKey: ['monitors'] }), client.invalidateQueries({ queryKey: ['monitor'] })])
}

/** FolderSelect chooses a folder, or the top. */
export function FolderSelect({ id, value, onChange, leaveOut, levels = maxDepth }: { id?: string; value: string; onChange: (v: string) => void; leaveOut?: string; levels?: number }) {
  const t = useT()
  const folders = useFolders()
  return (
    <TreeSelect
      id={id} style={{ width: '100%' }} treeDefaultExpandAll value={value || top} onChange={(v: string) => onChange(v)} showSearch={{ treeNodeFilterProp: 'title' }} loading={folders.isPending}
      treeData={[{ value: top, title: t('folder.top') }, ...optionsOf(without(treeOf(folders.data?.items ?? []), leaveOut), levels)]}
    />
  )
}

type Dialog = { kind: 'create' | 'edit' | 'merge'; folder?: Folder } | null

export function FolderPanel() {
  const t = useT()
  const workspace = useWorkspace()
  const { edit } = useRights()
  const [params, set] = useUrlStates()
  const confirm = useConfirm()
  const folders = useFolders()
  const organised = useOrganised()
  const [dialog, setDialog] = useState<Dialog>(null)
  const chosen = params.get('folder') ?? ''
  const folder = folders.data?.items.find((f) => f.name.toLowerCase() === chosen.toLowerCase())
  const choose = (name: string) => set({ folder: name, page: undefined })
  const remove = async (f: Folder) => {
    try {
      await del(inWorkspace(workspace, 'folders', f.name))
    } catch (e) {
      if (e instanceof ApiError && e.code === 'folder_not_empty') throw new Error(t('folder.notEmpty', { names: e.details.map((d) => d.message).join(', ') }), { cause: e })
      throw e
    }
    choose(f.spec.parent ?? '')
    await organised()
  }
  const node = (n: FolderNode): DataNode => ({ key: n.folder.name, icon: <FolderOutlined />, title: <Entry title={n.folder.spec.title} n={n.folder.monitors_all} />, children: n.children.map(node) })
  return (
    <Panel
      className="flush folders" title={t('folder.folders')}
      extra={edit && (
        <>
          <Button size="small" type="text" icon={<FolderAddOutlined />} aria-label={t('folder.create')} title={t('folder.create')} onClick={() => setDialog({ kind: 'create', folder })} />
          <Dropdown trigger={['click']} disabled={!folder} menu={{
            items: folder ? [
              { key: 'edit', icon: <EditOutlined />, label: t('folder.edit'), onClick: () => setDialog({ kind: 'edit', folder }) },
              { key: 'merge', icon: <MergeCellsOutlined />, label: t('folder.merge'), onClick: () => setDialog({ kind: 'merge', folder }) },
              { type: 'divider' },
              { key: 'delete', danger: true, icon: <DeleteOutlined />, label: t('action.delete'), onClick: () => confirm({
                title: t('folder.delete.title', { title: folder.spec.title }), what: t('folder.delete.what'), ok: t('action.delete'),
                run: () => remove(folder), done: t('done.deleted', { name: folder.spec.title }),
              }) },
            ] : [],
          }}>
            <Button size="small" type="text" icon={<MoreOutlined />} aria-label={t('folder.actions')} title={folder ? t('folder.actions') : t('folder.chooseFirst')} disabled={!folder} />
          </Dropdown>
        </>
      )}
    >
      <Loaded query={folders} rows={4}>
        {(d) => (
          <>
            <Tree
              blockNode showIcon key={d.items.length} defaultExpandAll aria-label={t('folder.folders')} selectedKeys={[folder?.name ?? (chosen === top ? top : 'all')]}
              onSelect={(_, e) => choose(e.node.key === 'all' ? '' : String(e.node.key))}
              treeData={[
                { key: 'all', icon: <UnorderedListOutlined />, title: <Entry title={t('folder.all')} n={d.total} /> },
                { key: top, icon: <InboxOutlined />, title: <Entry title={t('folder.none')} n={d.unfiled} /> },
                ...treeOf(d.items).map(node),
              ]}
            />
            {d.items.length === 0 && edit && <p className="muted" style={{ padding: '0 16px' }}>{t('folder.teach')}</p>}
          </>
        )}
      </Loaded>
      {dialog && dialog.kind !== 'merge' && <FolderDialog key={dialog.kind + dialog.folder?.name} dialog={dialog} onClose={() => setDialog(null)} onSaved={choose} />}
      {dialog?.kind === 'merge' && dialog.folder && <MergeDialog folder={dialog.folder} onClose={() => setDialog(null)} onMerged={choose} />}
    </Panel>
  )
}

function Entry({ title, n }: { title: string; n: number }) {
  return <span className="folder-entry"><span className="name" title={title}>{title}</span><span className="muted">{n}</span></span>
}

function FolderDialog({ dialog, onClose, onSaved }: { dialog: NonNullable<Dialog>; onClose: () => void; onSaved: (name: string) => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const organised = useOrganised()
  const old = dialog.kind === 'edit' ? dialog.folder : undefined
  const [title, setTitle] = useState(old?.spec.title ?? '')
  const [parent, setParent] = useState((old ? old.spec.parent : dialog.folder?.name) ?? '')
  const [order, setOrder] = useState(old?.spec.order ?? 0)
  return (
    <FormModal
      open title={old ? t('folder.edit') : t('folder.create')} ok={old ? t('action.save') : t('folder.create.ok')} ready={title.trim() !== ''} onClose={onClose}
      onSave={async () => {
        const spec = { title: title.trim(), parent: parent === top || parent === '' ? undefined : parent, order: order || undefined }
        const f = old ? await put<Folder>(inWorkspace(workspace, 'folders', old.name), { version: old.version, spec }) : await post<Folder>(inWorkspace(workspace, 'folders'), { spec })
        await organised()
        onSaved(f.name)
      }}
    >
      {(errors) => (
        <>
          <Field label={t('folder.title')} bad={errors.at('spec.title')}>{(a) => <Input {...a} autoFocus maxLength={64} value={title} onChange={(e) => setTitle(e.target.value)} />}</Field>
          <Field label={t('folder.parent')} bad={errors.at('spec.parent')}>{(a) => <FolderSelect id={a.id} value={parent} onChange={setParent} leaveOut={old?.name} levels={maxDepth - 1} />}</Field>
          <Field label={t('folder.order')} hint={t('folder.order.hint')} bad={errors.at('spec.order')}>{(a) => <InputNumber id={a.id} precision={0} value={order} onChange={(v) => setOrder(v ?? 0)} />}</Field>
        </>
      )}
    </FormModal>
  )
}

function MergeDialog({ folder, onClose, onMerged }: { folder: Folder; onClose: () => void; onMerged: (name: string) => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const organised = useOrganised()
  const [into, setInto] = useState(top)
  const [away, setAway] = useState(true)
  return (
    <FormModal
      open title={t('folder.merge.title', { title: folder.spec.title })} ok={t('folder.merge.ok')} ready onClose={onClose}
      onSave={async () => {
        await post(inWorkspace(workspace, 'folders', folder.name) + ':merge', { into, delete: away })
        await organised()
        onMerged(into === top ? '' : into)
      }}
    >
      {(errors) => (
        <>
          <p style={{ margin: 0 }}>{t('folder.merge.what', { n: folder.monitors_all })}</p>
          <Field label={t('folder.merge.into')} bad={errors.at('into') ?? errors.at('spec.title')}>{(a) => <FolderSelect id={a.id} value={into} onChange={setInto} leaveOut={folder.name} />}</Field>
          <Checkbox checked={away} onChange={(e) => setAway(e.target.checked)}>{t('folder.merge.delete')}</Checkbox>
        </>
      )}
    </FormModal>
  )
}

/** MoveDialog puts monitors into a folder. */
export function MoveDialog({ names, at, onClose, onMoved }: { names: string[]; at?: string; onClose: () => void; onMoved?: () => void }) {
  const t = useT()
  const workspace = useWorkspace()
  const organised = useOrganised()
  const [folder, setFolder] = useState(at ?? '')
  return (
    <FormModal
      open title={t('folder.move.title', { n: names.length })} ok={t('folder.move.ok')} ready onClose={onClose}
      onSave={async () => {
        await post(inWorkspace(workspace, 'monitors:move'), { names, folder: folder || top })
        await organised()
        onMoved?.()
      }}
    >
      {(errors) => (
        <Field label={t('folder.move.to')} hint={t('folder.move.hint')} bad={errors.at('metadata.folder')}>{(a) => <FolderSelect id={a.id} value={folder} onChange={setFolder} />}</Field>
      )}
    </FormModal>
  )
}
