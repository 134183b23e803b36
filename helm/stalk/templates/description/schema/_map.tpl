{{/* A map: its keys, their names, how many there are, and those that are missing. */}}
{{- define "stalk.schema.map" -}}
{{- $error := . }}
{{- $known := .schema.properties | default dict }}
{{- $others := .schema.additionalProperties }}
{{- range $key, $value := .value }}
{{- $part := get $known $key | default $others }}
{{- if kindIs "map" $part }}
{{- template "stalk.schema.check" (dict "run" $error.run "schema" $part "value" $value "path" (append $error.path $key)) }}
{{- else if not $part }}
{{- template "stalk.schema.say.unknown" (set $error "key" $key) }}
{{- end }}
{{- if $error.schema.propertyNames }}
{{- template "stalk.schema.name" (set $error "key" $key) }}
{{- end }}
{{- end }}
{{- range $key := .schema.required }}
{{- if not (hasKey $error.value $key) }}{{ template "stalk.schema.say.missing" (set $error "key" $key) }}{{ end }}
{{- end }}
{{- template "stalk.schema.size" (dict "error" . "least" .schema.minProperties "most" .schema.maxProperties) }}
{{- end }}

{{/* The name of a key that the user chooses. */}}
{{- define "stalk.schema.name" -}}
{{- $names := .schema.propertyNames }}
{{- $path := append .path .key }}
{{- if not (regexMatch $names.pattern .key) }}
{{- template "stalk.refuse" (dict "run" .run "path" $path "saying" "unusable_name" "facts" (dict "remedy" (get $names "$comment"))) }}
{{- end }}
{{- template "stalk.schema.length" (dict "run" .run "schema" $names "value" .key "path" $path) }}
{{- end }}

{{/* A key that the schema does not know. */}}
{{- define "stalk.schema.say.unknown" -}}
{{- $known := include "stalk.schema.known" .schema | splitList " " }}
{{- $problem := dict "run" .run "path" (append .path .key) "saying" "unknown_key" "facts" (dict "known" (include "stalk.listed" $known)) }}
{{- $guess := include "stalk.near" (dict "word" .key "words" $known) }}
{{- if $guess }}
{{- $_ := set $problem "saying" "misspelt_key" }}
{{- $_ := set $problem "facts" (dict "guess" $guess) }}
{{- $_ := set $problem "uses" (list (append .path $guess)) }}
{{- else }}
{{- with include "stalk.schema.homes" $problem }}
{{- $_ := set $problem "saying" "misplaced_key" }}
{{- $_ := set $problem "facts" (dict "homes" .) }}
{{- end }}
{{- end }}
{{- template "stalk.refuse" $problem }}
{{- end }}

{{/* Keys of a map: those that it needs in the schema's order, then the others by alphabet. */}}
{{- define "stalk.schema.known" -}}
{{- concat (.required | default list) (keys .properties | sortAlpha) | uniq | join " " }}
{{- end }}

{{/* A key that is needed. All but the queues of a pool has a default: it is missing only where a null took that away. */}}
{{- define "stalk.schema.say.missing" -}}
{{- $path := append .path .key }}
{{- $part := get .schema.properties .key }}
{{- with get $part "$ref" }}{{ $part = index $.run.schema "$defs" (base .) }}{{ end }}
{{- $facts := dict "remedy" (include "stalk.schema.remedy" (dict "run" .run "schema" $part)) }}
{{- $saying := eq (first $path) "pools" | ternary "missing" "nulled" }}
{{- template "stalk.refuse" (dict "run" .run "path" $path "saying" $saying "facts" $facts) }}
{{- end }}
