{{- define "pharos.name" -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- define "pharos.labels" -}}
app.kubernetes.io/name: pharos
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
{{- define "pharos.tag" -}}{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- define "pharos.serverSecret" -}}{{ .Values.server.existingSecret | default (printf "%s-server" (include "pharos.name" .)) }}{{- end -}}
{{- define "pharos.agentSecret" -}}{{ .Values.agent.existingSecret | default (printf "%s-agent" (include "pharos.name" .)) }}{{- end -}}
