import Yaml, { resourceYaml } from '../components/Yaml'
import type { MonitorSpec } from '../api/types'

export default function YamlTab({ name, workspace, spec }: { name: string; workspace: string; spec: MonitorSpec }) {
  return <Yaml text={resourceYaml('LogMonitor', name, workspace, spec)} file={`${name}.yaml`} />
}
