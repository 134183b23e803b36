{{/* dict "root" "component" ["pool"] */}}
{{- define "stalk.selector" -}}
app.kubernetes.io/name: {{ .root.Values.app.name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
stalk.celery/pool: {{ . }}
{{- end }}
{{- end }}

{{- define "stalk.labels" -}}
{{ include "stalk.selector" . }}
app.kubernetes.io/part-of: {{ .root.Values.app.name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* name, namespace, labels and annotations of an object. dict "root" "component" ["pool" "name" "options" "annotations"] */}}
{{- define "stalk.metadata" -}}
name: {{ .name | default (include "stalk.fullname" .) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "stalk.labels" . | nindent 2 }}
{{- with (.options | default dict).labels }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with merge (dict) (.annotations | default dict) ((.options | default dict).annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
