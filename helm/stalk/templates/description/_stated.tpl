{{/* What the description states, as the checks look at it. `null` takes away what a file before, or a default, states. */}}
{{- define "stalk.stated" -}}
{{- $pools := dict }}
{{- range $name, $own := .values.pools }}
{{- if not (kindIs "invalid" $own) }}
{{- $pool := dict "own" $own "queues" ($own.queues | default list) "scale" dict }}
{{- range $key := list "pool" "concurrency" "time_limit" "soft_time_limit" "grace" "heartbeat_max_age" }}
{{- $_ := set $pool $key (hasKey $own $key | ternary (index $own $key) (index $.values.pool_defaults $key)) }}
{{- end }}
{{- $scale := $own.scale | default dict }}
{{- range $key := list "min" "max" "provider" }}
{{- $_ := set $pool.scale $key (hasKey $scale $key | ternary (index $scale $key) (index $.values.pool_defaults.scale $key)) }}
{{- end }}
{{- $_ := set $pools $name $pool }}
{{- end }}
{{- end }}
{{- $_ := set . "pools" $pools }}
{{- $_ := set . "variables" list }}
{{- range .rules.variables.maps }}{{ template "stalk.stated.part" (dict "run" $ "place" (splitList "." .) "kind" "map") }}{{ end }}
{{- range .rules.variables.pods }}{{ template "stalk.stated.part" (dict "run" $ "place" (splitList "." .) "kind" "pod") }}{{ end }}
{{- end }}

{{/* Gives the run the variables of a place; `*` in it stands for every pool. dict "run" "place" "kind" */}}
{{- define "stalk.stated.part" -}}
{{- range $pool := has "*" .place | ternary (keys .run.pools) (list "") }}
{{- $path := list }}
{{- $part := $.run.values }}
{{- range $.place }}
{{- $key := eq . "*" | ternary $pool . }}
{{- $path = append $path $key }}
{{- $part = index $part $key | default dict }}
{{- end }}
{{- if eq $.kind "map" }}
{{- range $name, $value := $part }}
{{- if not (kindIs "invalid" $value) }}
{{- template "stalk.stated.variable" (dict "run" $.run "path" (append $path $name) "name" $name "value" $value) }}
{{- end }}
{{- end }}
{{- else }}
{{- range $index, $entry := $part.extraEnv }}
{{- if kindIs "string" $entry.name }}
{{- template "stalk.stated.variable" (dict "run" $.run "path" (append (append $path "extraEnv") $index) "name" $entry.name "value" $entry.value) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "stalk.stated.variable" -}}
{{- $_ := set .run "variables" (append .run.variables (omit . "run")) }}
{{- end }}
