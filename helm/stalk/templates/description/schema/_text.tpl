{{/* A text: whether it is offered, taken, well-formed and short enough. */}}
{{- define "stalk.schema.text" -}}
{{- if .schema.enum }}
{{- if not (has .value .schema.enum) }}{{ template "stalk.schema.say.choices" . }}{{ end }}
{{- end }}
{{- with .schema.not }}
{{- if has $.value .enum }}
{{- $shown := include "stalk.shown" (dict "run" $.run "value" $.value) }}
{{- template "stalk.refuse" (dict "run" $.run "path" $.path "saying" "taken" "facts" (dict "shown" $shown "why" (get . "$comment"))) }}
{{- end }}
{{- end }}
{{- with .schema.pattern }}
{{- if not (regexMatch . $.value) }}{{ template "stalk.schema.say.pattern" $ }}{{ end }}
{{- end }}
{{- template "stalk.schema.length" . }}
{{- end }}

{{- define "stalk.schema.length" -}}
{{- with .schema.maxLength }}
{{- $size := splitList "" $.value | len }}
{{- if gt $size (int .) }}
{{- template "stalk.refuse" (dict "run" $.run "path" $.path "saying" "too_long" "facts" (dict "size" $size "limit" .)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "stalk.schema.say.choices" -}}
{{- $facts := include "stalk.schema.facts" . | fromJson }}
{{- $guess := include "stalk.near" (dict "word" .value "words" .schema.enum) }}
{{- $saying := "not_offered" }}
{{- if and (eq (join "." .path) "tls.issuer") (has .value (list "none" "plaintext" "plain")) }}{{ $saying = "plain_text" }}
{{- else if $guess }}
{{- $_ := set $facts "remedy" (include "stalk.said" (dict "text" .run.sayings.remedies.guess "facts" (dict "guess" $guess))) }}
{{- end }}
{{- template "stalk.refuse" (dict "run" .run "path" .path "saying" $saying "facts" $facts) }}
{{- end }}

{{- define "stalk.schema.say.pattern" -}}
{{- $facts := include "stalk.schema.facts" . | fromJson }}
{{- $saying := "unusable" }}
{{- if eq .value "" }}{{ $saying = "unusable_empty" }}
{{- else if and (has "integer" (splitList " " $facts.accepted)) (regexMatch "^\\s*[0-9]{1,9}\\s*$" .value) }}
{{- $saying = "number_in_text" }}
{{- $_ := set $facts "number" (include "stalk.number_meant" .value) }}
{{- end }}
{{- template "stalk.refuse" (dict "run" .run "path" .path "saying" $saying "facts" $facts) }}
{{- end }}
