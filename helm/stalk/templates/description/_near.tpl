{{/* The word that a misspelt one was meant to be, or nothing, as plugins/module_utils/description/near.py finds it. */}}

{{/* dict "word" "words" */}}
{{- define "stalk.near" -}}
{{- $pairs := include "stalk.near.pairs" .word | splitList "\n" }}
{{- $best := 59 }}
{{- $guess := "" }}
{{- range sortAlpha .words }}
{{- $others := include "stalk.near.pairs" . | splitList "\n" }}
{{- $both := 0 }}
{{- range $pairs }}{{ if has . $others }}{{ $both = add1 $both }}{{ end }}{{ end }}
{{- $alike := div (mul 200 $both) (add (len $pairs) (len $others)) }}
{{- if gt $alike (int64 $best) }}
{{- $best = $alike }}
{{- $guess = . }}
{{- end }}
{{- end }}
{{- $guess }}
{{- end }}

{{/* A word's pairs of letters, each on a line. The beginning and the end count as letters. */}}
{{- define "stalk.near.pairs" -}}
{{- $letters := printf "^%s$" (. | lower | replace "_" "" | replace "-" "") | splitList "" }}
{{- $pairs := list }}
{{- range $index, $letter := rest $letters }}
{{- $pairs = append $pairs (printf "%s%s" (index $letters $index) $letter) }}
{{- end }}
{{- $pairs | uniq | join "\n" }}
{{- end }}
