{{/* Where in a description a key is at home that was written elsewhere, as plugins/module_utils/description/homes.py
     finds it: two paths at most, those first that begin as the path does, then those that every target reads. dict "run" "path" */}}
{{- define "stalk.schema.homes" -}}
{{- if not .run.keys }}
{{- $_ := set .run "keys" list }}
{{- template "stalk.schema.keys" (dict "run" .run "schema" .run.schema "path" list) }}
{{- end }}
{{- $ranked := list }}
{{- range $home := .run.keys }}
{{- if eq (last $home) (last $.path) }}
{{- $ranked = append $ranked (printf "%02d%d %s" (sub 99 (include "stalk.schema.shared" (list $home $.path) | int)) (has "kubernetes" $home | ternary 1 0) (include "stalk.dotted" $home)) }}
{{- end }}
{{- end }}
{{- $homes := list }}
{{- range $ranked | sortAlpha }}{{ $homes = append $homes (substr 4 -1 .) }}{{ end }}
{{- slice $homes 0 (min 2 (len $homes)) | join " or " }}
{{- end }}

{{/* How many keys two paths share from the top. */}}
{{- define "stalk.schema.shared" -}}
{{- $shared := 0 }}
{{- range $index, $key := first . }}
{{- if and (eq $index $shared) (lt $index (last $ | len)) }}{{ if eq $key (index (last $) $index) }}{{ $shared = add1 $shared | int }}{{ end }}{{ end }}
{{- end }}
{{- $shared }}
{{- end }}

{{/* Adds the path of every key below a part of the schema to the run's keys. dict "run" "schema" "path" */}}
{{- define "stalk.schema.keys" -}}
{{- $schema := .schema }}
{{- with get $schema "$ref" }}{{ $schema = index $.run.schema "$defs" (base .) }}{{ end }}
{{- range $key, $part := $schema.properties }}
{{- $path := append $.path $key }}
{{- $_ := set $.run "keys" (append $.run.keys $path) }}
{{- template "stalk.schema.keys" (dict "run" $.run "schema" $part "path" $path) }}
{{- end }}
{{- if kindIs "map" $schema.additionalProperties }}
{{- template "stalk.schema.keys" (dict "run" .run "schema" $schema.additionalProperties "path" (append .path "NAME")) }}
{{- end }}
{{- end }}
