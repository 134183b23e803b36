{{/* Everything is named after the app. dict "root" "component" ["pool"] -> shop-worker-high */}}
{{- define "stalk.fullname" -}}
{{ .root.Values.app.name }}-{{ .component }}{{ with .pool }}-{{ . }}{{ end }}
{{- end }}

{{/* The image as the kubelet takes it: a digest goes before a tag. dict "root" "image" "default" */}}
{{- define "stalk.image" -}}
{{- $repository := .image.repository | default .default -}}
{{- if .image.digest }}{{ $repository }}@{{ .image.digest }}{{ else }}{{ $repository }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "stalk.app.image" -}}
image: {{ include "stalk.image" (dict "root" . "image" .Values.app.kubernetes.image "default" .Values.app.name) }}
imagePullPolicy: {{ .Values.app.kubernetes.image.pullPolicy }}
{{- end }}

{{/* Names of Secrets: the user's own, or the one where Stalk keeps what it makes. */}}
{{- define "stalk.secret" -}}
{{ .own.name | default (printf "%s-secrets" .root.Values.app.name) }}
{{- end }}
