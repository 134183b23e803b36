{{/* Takes out what the schema refused, so that the other checks can look at all the rest in the same run, as
     plugins/module_utils/description/repair.py does. A placeholder stands for what they need; no line speaks of it. */}}
{{- define "stalk.repair" -}}
{{- $broken := list }}
{{- range .problems }}
{{- $broken = concat $broken (list .path) .uses }}
{{- $_ := set . "broken" true }}
{{- end }}
{{- $_ := set . "broken" $broken }}
{{- if $broken }}
{{- $_ := set . "values" (deepCopy .values) }}
{{- range $broken }}{{ template "stalk.repair.remove" (dict "values" $.values "path" .) }}{{ end }}
{{- template "stalk.repair.fill" (dict "run" . "schema" .schema "values" .values) }}
{{- end }}
{{- end }}

{{/* Takes away the value at the path; of a list the whole. dict "values" "path" */}}
{{- define "stalk.repair.remove" -}}
{{- $key := first .path | toString }}
{{- if hasKey .values $key }}
{{- $below := get .values $key }}
{{- if and (kindIs "map" $below) (rest .path) }}{{ template "stalk.repair.remove" (dict "values" $below "path" (rest .path)) }}
{{- else if or (kindIs "slice" $below) (not (rest .path)) }}{{ $_ := unset .values $key }}
{{- end }}
{{- end }}
{{- end }}

{{/* Gives a map and those below it the keys that they need. dict "run" "schema" "values" */}}
{{- define "stalk.repair.fill" -}}
{{- range $key := .schema.required }}
{{- $part := get $.schema.properties $key }}
{{- with get $part "$ref" }}{{ $part = index $.run.schema "$defs" (base .) }}{{ end }}
{{- if not (hasKey $.values $key) }}
{{- $kind := include "stalk.schema.kinds" $part | splitList " " | first }}
{{- $placeholders := dict "object" dict "array" list "string" ($part.enum | default (list "") | first) "integer" $part.minimum "boolean" false }}
{{- $_ := set $.values $key (get $placeholders $kind) }}
{{- end }}
{{- $below := get $.values $key }}
{{- if kindIs "map" $below }}{{ template "stalk.repair.fill" (dict "run" $.run "schema" $part "values" $below) }}{{ end }}
{{- end }}
{{- end }}
