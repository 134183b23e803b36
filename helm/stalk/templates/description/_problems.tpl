{{/* What is wrong with a description, each problem one line, as plugins/module_utils/description/problems.py has it. */}}

{{/* Adds a problem to the run's. dict "run" "path" "saying" ["facts" "uses"] */}}
{{- define "stalk.refuse" -}}
{{- $words := get .run.sayings .saying }}
{{- $facts := .facts | default dict }}
{{- $uses := .uses | default list }}
{{- range $words.uses }}
{{- $uses = append $uses (include "stalk.said" (dict "text" . "facts" $facts) | splitList ".") }}
{{- end }}
{{- $reason := include "stalk.said" (dict "text" $words.reason "facts" $facts) }}
{{- $remedy := include "stalk.said" (dict "text" $words.remedy "facts" $facts) }}
{{- $line := printf "%s: %s; %s" (include "stalk.dotted" .path) $reason $remedy }}
{{- $problem := dict "path" .path "uses" $uses "saying" .saying "line" (regexReplaceAll "\\s+" $line " " | trim) }}
{{- $_ := set .run "problems" (append .run.problems $problem) }}
{{- end }}

{{/* The text with its facts in place. dict "text" "facts" */}}
{{- define "stalk.said" -}}
{{- $pieces := splitList "{" .text }}
{{- first $pieces }}
{{- range rest $pieces }}
{{- $piece := splitn "}" 2 . }}
{{- if hasKey $.facts $piece._0 }}{{ include "stalk.plain" (get $.facts $piece._0) }}{{ $piece._1 }}
{{- else }}{{ "{" }}{{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* A path as a user would write it: pools.high.queues[0] */}}
{{- define "stalk.dotted" -}}
{{- range $index, $key := . }}
{{- if kindIs "int" $key }}[{{ $key }}]
{{- else if regexMatch "^[A-Za-z0-9_-]+$" $key }}{{ if $index }}.{{ end }}{{ $key }}
{{- else }}[{{ include "stalk.quoted" $key }}]
{{- end }}
{{- else }}(whole description)
{{- end }}
{{- end }}

{{/* Text in quotes, short and printable. */}}
{{- define "stalk.quoted" -}}
{{- $letters := splitList "" . }}
{{- if gt (len $letters) 40 }}{{ $letters = append (slice $letters 0 39) "…" }}{{ end -}}
"
{{- range $letters }}
{{- if regexMatch "^[\\pL\\pM\\pN\\pP\\pS ]$" . }}{{ . }}{{ else }}{{ printf "%q" . | trimAll "\"" }}{{ end }}
{{- end -}}
"
{{- end }}

{{/* A value for a message; what may be a secret stays unsaid. dict "run" "value" "path" */}}
{{- define "stalk.shown" -}}
{{- if kindIs "string" .value }}
{{- $private := include "stalk.clear_text.is" (list .run "value" .value) | empty | not }}
{{- range .path }}{{ $private = or $private (has . $.run.rules.clear_text.private) }}{{ end }}
{{- if $private }}this text{{ else }}{{ include "stalk.quoted" .value }}{{ end }}
{{- else if kindIs "map" .value }}{{ if .value }}a map{{ else }}an empty map{{ end }}
{{- else if kindIs "slice" .value }}{{ if .value }}a list{{ else }}an empty list{{ end }}
{{- else }}{{ toJson .value }}
{{- end }}
{{- end }}

{{/* `a, b and c` */}}
{{- define "stalk.listed" -}}
{{- if rest . }}{{ initial . | join ", " }} and {{ last . }}{{ else }}{{ first . }}{{ end }}
{{- end }}

{{/* Whether one path is the other's or lies above or below it; `*` stands for every key. list path path */}}
{{- define "stalk.overlap" -}}
{{- $other := last . }}
{{- $apart := false }}
{{- range $index, $key := first . }}
{{- if lt $index (len $other) }}
{{- $fellow := index $other $index | toString }}
{{- if not (or (eq $fellow "*" (toString $key)) (eq (toString $key) "*")) }}{{ $apart = true }}{{ end }}
{{- end }}
{{- end }}
{{- if not $apart }}yes{{ end }}
{{- end }}
