import Yaml, { resourceYaml } from '../components/Yaml'
import type { MonitorSpec } from '../api/types'

export default function YamlTab({ name, workspace, spec, folder }: { name: string; workspace: string; spec: MonitorSpec; folder?: string }) {
  return <Yaml text={resourceYaml('LogMonitor', name, workspace, spec, folder)} file={`${name}.yaml`} />
}
