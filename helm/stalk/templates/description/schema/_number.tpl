{{/* A whole number: whether it is in its range. */}}
{{- define "stalk.schema.number" -}}
{{- if lt (float64 .value) (float64 .schema.minimum) }}
{{- template "stalk.schema.say.range" (dict "error" . "saying" "less" "limit" .schema.minimum) }}
{{- else if gt (float64 .value) (float64 .schema.maximum) }}
{{- template "stalk.schema.say.range" (dict "error" . "saying" "more" "limit" .schema.maximum) }}
{{- end }}
{{- end }}

{{- define "stalk.schema.say.range" -}}
{{- $facts := include "stalk.schema.facts" .error | fromJson }}
{{- template "stalk.refuse" (dict "run" .error.run "path" .error.path "saying" .saying "facts" (set $facts "limit" .limit)) }}
{{- end }}
