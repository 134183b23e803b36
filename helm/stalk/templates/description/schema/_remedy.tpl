{{/* Facts of an error, as JSON: what was found, what is wanted, and how to write it. */}}
{{- define "stalk.schema.facts" -}}
{{- $accepted := include "stalk.schema.kinds" .schema }}
{{- dict
  "accepted" $accepted
  "shown" (include "stalk.shown" .)
  "wanted" (include "stalk.schema.wanted" .)
  "remedy" (include "stalk.schema.remedy" .)
  | toRawJson }}
{{- end }}

{{/* What may be written, from the schema's own words. dict "run" "schema" */}}
{{- define "stalk.schema.remedy" -}}
{{- $schema := .schema }}
{{- $kinds := include "stalk.schema.kinds" $schema | splitList " " }}
{{- $facts := dict }}
{{- $remedy := "" }}
{{- if hasKey $schema "$comment" }}{{ get $schema "$comment" }}
{{- else if $schema.enum }}
{{- $remedy = rest $schema.enum | empty | ternary "only" "choices" }}
{{- $facts = dict "choice" (first $schema.enum) "choices" (join ", " $schema.enum) }}
{{- else if has "integer" $kinds }}
{{- $remedy = has "null" $kinds | ternary "range_or_null" "range" }}
{{- $facts = dict "low" $schema.minimum "high" $schema.maximum }}
{{- else if has "boolean" $kinds }}{{ $remedy = "boolean" }}
{{- else if has "object" $kinds }}
{{- $remedy = "map" }}
{{- $facts = dict "key" (include "stalk.schema.known" $schema | splitList " " | first) }}
{{- else }}
{{- $remedy = "kind" }}
{{- $facts = dict "kind" (include "stalk.schema.wanted" .) }}
{{- end }}
{{- with $remedy }}{{ include "stalk.said" (dict "text" (get $.run.sayings.remedies .) "facts" $facts) }}{{ end }}
{{- end }}

{{/* The kind of value that is wanted, in words. dict "run" "schema" */}}
{{- define "stalk.schema.wanted" -}}
{{- $kinds := without (include "stalk.schema.kinds" .schema | splitList " ") "null" }}
{{- $words := list }}
{{- range has "integer" $kinds | ternary (list "integer") $kinds }}{{ $words = append $words (get $.run.sayings.kinds .) }}{{ end }}
{{- join " or " $words }}
{{- end }}
