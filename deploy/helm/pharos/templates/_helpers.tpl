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
{{- /* Not empty if the key that secrets are encrypted with comes from the secret, not from the server's volume. */ -}}
{{- define "pharos.sharesKey" -}}{{ if or .Values.server.secretKey (and .Values.server.existingSecret (gt (int .Values.alarm.replicas) 0)) }}yes{{ end }}{{- end -}}
