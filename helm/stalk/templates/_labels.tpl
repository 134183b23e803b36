{{/* In quotes is what a user may call `1`, `no` or `1e3`, which YAML takes for something else than a text; here and in every
     template. dict "root" "component" ["pool"] */}}
{{- define "stalk.selector" -}}
app.kubernetes.io/name: {{ .root.Values.app.name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
stalk.celery/pool: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "stalk.labels" -}}
{{ include "stalk.selector" . }}
app.kubernetes.io/part-of: {{ .root.Values.app.name | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* name, namespace, labels and annotations of an object. dict "root" "component" ["pool" "name" "options" "annotations"] */}}
{{- define "stalk.metadata" -}}
name: {{ .name | default (include "stalk.fullname" .) | quote }}
namespace: {{ .root.Release.Namespace | quote }}
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
