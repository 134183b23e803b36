{{/* Who may open each port: pods of the stack, and peers; a peer that is {} stands for everybody. dict "root" "edges" */}}
{{- define "stalk.network.ingress" -}}
{{- range .edges }}
{{- if or .from .peers }}
- ports: [{{ include "stalk.network.port" . }}]
  {{- if not (has dict (.peers | default list)) }}
  from:
    {{- range .from }}
    - podSelector: {matchLabels: {{ include "stalk.selector" (dict "root" $.root "component" .) | fromYaml | toJson }}}
    {{- end }}
    {{- with .peers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A port, or a range of them. dict "port" ["end"] */}}
{{- define "stalk.network.port" -}}
{protocol: TCP, port: {{ int64 .port }}{{ with .end }}, endPort: {{ int64 . }}{{ end }}}
{{- end }}
