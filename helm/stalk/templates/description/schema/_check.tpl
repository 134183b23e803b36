{{/* Interprets the keywords that files/description/schema.json uses, and says each error in the words of
     files/description/sayings.yaml, as plugins/module_utils/description/schema_errors.py does. */}}

{{/* All that a part of the schema refuses in a value and below it. dict "run" "schema" "value" "path" */}}
{{- define "stalk.schema.check" -}}
{{- $schema := .schema }}
{{- with get $schema "$ref" }}{{ $schema = index $.run.schema "$defs" (base .) }}{{ end }}
{{- $error := dict "run" .run "schema" $schema "value" .value "path" .path }}
{{- $kind := include "stalk.schema.kind" .value }}
{{- $accepted := include "stalk.schema.kinds" $schema | splitList " " }}
{{- if and (eq $kind "integer") (has "number" $accepted) }}{{ $kind = "number" }}{{ end }}
{{- if not (has $kind $accepted) }}{{ template "stalk.schema.say.kind" $error }}
{{- else if eq $kind "object" }}{{ template "stalk.schema.map" $error }}
{{- else if eq $kind "array" }}{{ template "stalk.schema.list" $error }}
{{- else if eq $kind "string" }}{{ template "stalk.schema.text" $error }}
{{- else if eq $kind "integer" }}{{ template "stalk.schema.number" $error }}
{{- end }}
{{- end }}

{{/* What a value is, as the schema's `type` calls it. */}}
{{- define "stalk.schema.kind" -}}
{{- if kindIs "map" . }}object
{{- else if kindIs "slice" . }}array
{{- else if kindIs "bool" . }}boolean
{{- else if kindIs "invalid" . }}null
{{- else if kindIs "string" . }}string
{{- else if eq (floor .) (float64 .) }}integer
{{- else }}number
{{- end }}
{{- end }}

{{/* The kinds that a part of the schema accepts, with spaces between. */}}
{{- define "stalk.schema.kinds" -}}
{{- if kindIs "string" .type }}{{ .type }}{{ else }}{{ join " " .type }}{{ end }}
{{- end }}
