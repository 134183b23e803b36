{{/* Everything that is wrong with the description, as plugins/action/stack.py says it; nothing when it is good. */}}
{{- define "stalk.refusal" -}}
{{- $run := dict
  "schema" (.Files.Get "files/description/schema.json" | fromJson)
  "sayings" (.Files.Get "files/description/sayings.yaml" | fromYaml)
  "rules" (.Files.Get "files/description/rules.yaml" | fromYaml)
  "problems" list
  "values" .Values }}
{{- template "stalk.schema.check" (dict "run" $run "schema" $run.schema "value" .Values "path" list) }}
{{- template "stalk.refusals.without_echoes" $run }}
{{- template "stalk.repair" $run }}
{{- template "stalk.stated" $run }}
{{- template "stalk.limits" $run }}
{{- template "stalk.choices" $run }}
{{- template "stalk.ports" $run }}
{{- template "stalk.scale" $run }}
{{- template "stalk.queues" $run }}
{{- template "stalk.clear_text" $run }}
{{- template "stalk.variables" $run }}
{{- template "stalk.flower" $run }}
{{- $lines := include "stalk.refusals.lines" $run | fromJsonArray }}
{{- if $lines -}}
The description is refused for {{ if rest $lines }}these {{ len $lines }} reasons{{ else }}this reason{{ end }}; nothing was changed.
{{ join "\n" $lines }}
{{- end }}
{{- end }}

{{/* A misspelt key is one mistake: the right one is not said to be missing too. */}}
{{- define "stalk.refusals.without_echoes" -}}
{{- $suggested := list }}
{{- range .problems }}{{ $suggested = concat $suggested .uses }}{{ end }}
{{- $problems := list }}
{{- range .problems }}
{{- if not (and (eq .saying "missing") (has .path $suggested)) }}{{ $problems = append $problems . }}{{ end }}
{{- end }}
{{- $_ := set . "problems" $problems }}
{{- end }}

{{/* All problems but those that follow from a broken value, which has its own line already. */}}
{{- define "stalk.refusals.lines" -}}
{{- $lines := list }}
{{- range $problem := .problems }}
{{- $echo := "" }}
{{- if not $problem.broken }}
{{- range $path := prepend $problem.uses $problem.path }}
{{- range $bad := $.broken }}{{ $echo = $echo | default (include "stalk.overlap" (list $path $bad)) }}{{ end }}
{{- end }}
{{- end }}
{{- if not $echo }}{{ $lines = append $lines $problem.line }}{{ end }}
{{- end }}
{{- uniq $lines | sortAlpha | toRawJson }}
{{- end }}
