{{/* A leaf and its key, with the CA, in the form of cert-manager: ca.crt, tls.crt, tls.key. dict "root" "component" */}}
{{- define "stalk.tls.secret" -}}
{{ .root.Values.app.name }}-{{ .component }}-tls
{{- end }}

{{- define "stalk.tls.volume" -}}
- name: tls
  secret: {secretName: {{ include "stalk.tls.secret" . }}, defaultMode: 0440}
{{- end }}

{{/* Names under which pods and the KEDA operator reach a Service. dict "root" "component" -> JSON */}}
{{- define "stalk.tls.names" -}}
{{- $name := include "stalk.fullname" . -}}
{{- $namespace := .root.Release.Namespace -}}
{{ list $name (printf "%s.%s" $name $namespace) (printf "%s.%s.svc" $name $namespace) (printf "%s.%s.svc.cluster.local" $name $namespace) "localhost" "127.0.0.1" | toJson }}
{{- end }}
