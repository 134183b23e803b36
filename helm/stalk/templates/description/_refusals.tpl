{{/* Everything that is wrong with the description, as plugins/action/stack.py says it; nothing when it is good. */}}
{{- define "stalk.refusal" -}}
{{- $run := dict
  "schema" (.Files.Get "files/description/schema.json" | fromJson)
  "sayings" (.Files.Get "files/description/sayings.yaml" | fromYaml)
  "clear_text" (.Files.Get "files/description/clear_text.yaml" | fromYaml)
  "problems" list }}
{{- template "stalk.schema.check" (dict "run" $run "schema" $run.schema "value" .Values "path" list) }}
{{- $lines := list }}
{{- range $run.problems }}{{ $lines = append $lines .line }}{{ end }}
{{- $lines = uniq $lines | sortAlpha }}
{{- if $lines -}}
The description is refused for {{ if rest $lines }}these {{ len $lines }} reasons{{ else }}this reason{{ end }}; nothing was changed.
{{ join "\n" $lines }}
{{- end }}
{{- end }}
