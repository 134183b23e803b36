{{/* Secrets written where everybody can read them, as plugins/module_utils/description/clear_text.py finds them. */}}
{{- define "stalk.clear_text" -}}
{{- range .variables }}
{{- $saying := "" }}
{{- if kindIs "string" .value }}
{{- if include "stalk.clear_text.is" (list $ "value" .value) }}{{ $saying = "secret_value" }}
{{- else if include "stalk.clear_text.named" (list $ .name .value) }}{{ $saying = "secret_name" }}
{{- end }}
{{- end }}
{{- if $saying }}
{{- template "stalk.refuse" (dict "run" $ "path" .path "saying" $saying "facts" (dict "name" .name)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether a variable's name says that its value is a secret, and the value may be one. list run name value */}}
{{- define "stalk.clear_text.named" -}}
{{- $name := index . 1 | upper }}
{{- if not (include "stalk.clear_text.is" (list (first .) "harmless_value" (last .))) }}
{{- if not (include "stalk.clear_text.is" (list (first .) "harmless_name" $name)) }}
{{- include "stalk.clear_text.is" (list (first .) "name" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether a text is of the kind that files/description/rules.yaml describes. list run kind text */}}
{{- define "stalk.clear_text.is" -}}
{{- range get (first .).rules.clear_text (index . 1) }}{{ if regexMatch . (last $) }}yes{{ end }}{{ end }}
{{- end }}
