{{/* A list: its entries, how many there are, and those that are there twice. */}}
{{- define "stalk.schema.list" -}}
{{- $error := . }}
{{- range $index, $item := .value }}
{{- template "stalk.schema.check" (dict "run" $error.run "schema" $error.schema.items "value" $item "path" (append $error.path $index)) }}
{{- end }}
{{- if .schema.uniqueItems }}{{ template "stalk.schema.unique" . }}{{ end }}
{{- template "stalk.schema.size" (dict "error" . "least" .schema.minItems "most" .schema.maxItems) }}
{{- end }}

{{- define "stalk.schema.unique" -}}
{{- $seen := list }}
{{- range $index, $item := .value }}
{{- if has $item $seen }}
{{- $shown := include "stalk.shown" (dict "run" $.run "value" $item "path" $.path) }}
{{- template "stalk.refuse" (dict "run" $.run "path" (append $.path $index) "saying" "twice" "facts" (dict "shown" $shown)) }}
{{- end }}
{{- $seen = append $seen $item }}
{{- end }}
{{- end }}

{{/* How many entries a map or a list has. dict "error" "least" "most" */}}
{{- define "stalk.schema.size" -}}
{{- $size := len .error.value }}
{{- if and .least (lt $size (int .least)) }}
{{- template "stalk.refuse" (dict "run" .error.run "path" .error.path "saying" "too_few" "facts" (dict "size" $size "limit" .least)) }}
{{- else if and .most (gt $size (int .most)) }}
{{- template "stalk.refuse" (dict "run" .error.run "path" .error.path "saying" "too_many" "facts" (dict "size" $size "limit" .most)) }}
{{- end }}
{{- end }}
