import Yaml, { resourceYaml } from './Yaml'

export default function ResourceYaml({ kind, name, workspace, spec }: { kind: string; name: string; workspace: string; spec: unknown }) {
  return <Yaml text={resourceYaml(kind, name, workspace, spec)} file={`${name}.yaml`} />
}
