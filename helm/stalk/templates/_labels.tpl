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

{{/* Annotations of a hook of Helm that is gone once it succeeded, as JSON. A Job that failed says why in Helm's own output,
     from Helm 3.18 on. dict "on" "weight" */}}
{{- define "stalk.hook" -}}
{{- dict
  "helm.sh/hook" .on
  "helm.sh/hook-weight" .weight
  "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded"
  "helm.sh/hook-output-log-policy" "hook-failed"
  | toJson }}
{{- end }}

{{/* The ServiceAccount of a hook's Job: that of the release comes after it, or may be gone. dict "root" "component" "name"
     "on" "weight" */}}
{{- define "stalk.hook.serviceaccount" -}}
{{- $annotations := merge (include "stalk.hook" . | fromJson) .root.Values.kubernetes.serviceAccount.annotations -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "stalk.metadata" (dict "root" .root "component" .component "name" .name "annotations" $annotations) | nindent 2 }}
automountServiceAccountToken: false
{{- end }}

{{/* A label of the user's goes before Stalk's, but not before one that pods are found by. list CONTEXT LABELS */}}
{{- define "stalk.labels.with" -}}
{{- $selector := include "stalk.selector" (first .) | fromYaml }}
{{- mergeOverwrite (dict) (last .) $selector | toYaml }}
{{- end }}

{{/* name, namespace, labels and annotations of an object. dict "root" "component" ["pool" "name" "options" "annotations"] */}}
{{- define "stalk.metadata" -}}
name: {{ .name | default (include "stalk.fullname" .) | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- $labels := mergeOverwrite (include "stalk.labels" . | fromYaml) ((.options | default dict).labels | default dict) }}
  {{- include "stalk.labels.with" (list . $labels) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) ((.options | default dict).annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
