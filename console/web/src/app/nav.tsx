/** The sections of the console: what the left navigation, search and the g keys know. Only what exists is listed. */
import {
  AlertOutlined, ApiOutlined, AuditOutlined, CloudServerOutlined, ClusterOutlined, CodeOutlined, DashboardOutlined, DeploymentUnitOutlined, EyeInvisibleOutlined, FileSearchOutlined,
  HomeOutlined, KeyOutlined, NotificationOutlined, SendOutlined, TeamOutlined, UsbOutlined,
} from '@ant-design/icons'
import type { ReactNode } from 'react'
import type { TextKey } from '../i18n'

export interface Section {
  path: string
  text: TextKey
  icon: ReactNode
  key: string
  group: TextKey
  /** admin sections are for administrators of the installation. */
  admin?: boolean
}

export const sections: Section[] = [
  { path: '', text: 'nav.home', icon: <HomeOutlined />, key: 'h', group: 'nav.group.watch' },
  { path: 'monitors', text: 'nav.monitors', icon: <FileSearchOutlined />, key: 'm', group: 'nav.group.watch' },
  { path: 'dashboards', text: 'nav.dashboards', icon: <DashboardOutlined />, key: 'b', group: 'nav.group.watch' },
  { path: 'explore', text: 'nav.explore', icon: <CodeOutlined />, key: 'e', group: 'nav.group.watch' },
  { path: 'alerts', text: 'nav.alerts', icon: <AlertOutlined />, key: 'a', group: 'nav.group.alarm' },
  { path: 'rules', text: 'nav.rules', icon: <NotificationOutlined />, key: 'r', group: 'nav.group.alarm' },
  { path: 'channels', text: 'nav.channels', icon: <ApiOutlined />, key: 'c', group: 'nav.group.alarm' },
  { path: 'deliveries', text: 'nav.deliveries', icon: <SendOutlined />, key: 'd', group: 'nav.group.alarm' },
  { path: 'agents', text: 'nav.agents', icon: <ClusterOutlined />, key: 'n', group: 'nav.group.machines' },
  { path: 'hosts', text: 'nav.hosts', icon: <CloudServerOutlined />, key: 'o', group: 'nav.group.machines' },
  { path: 'join', text: 'nav.join', icon: <UsbOutlined />, key: 'j', group: 'nav.group.machines', admin: true },
  { path: 'tokens', text: 'nav.tokens', icon: <KeyOutlined />, key: 't', group: 'nav.group.settings' },
  { path: 'masking', text: 'nav.masking', icon: <EyeInvisibleOutlined />, key: 'k', group: 'nav.group.settings' },
  { path: 'users', text: 'nav.users', icon: <TeamOutlined />, key: 'u', group: 'nav.group.settings', admin: true },
  { path: 'workspaces', text: 'nav.workspaces', icon: <DeploymentUnitOutlined />, key: 'w', group: 'nav.group.settings', admin: true },
  { path: 'audit', text: 'nav.audit', icon: <AuditOutlined />, key: 'l', group: 'nav.group.settings', admin: true },
]

export const groups: TextKey[] = ['nav.group.watch', 'nav.group.alarm', 'nav.group.machines', 'nav.group.settings']
