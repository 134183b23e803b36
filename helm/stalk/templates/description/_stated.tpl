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
{{- template "stalk.stated.environments" . }}
{{- end }}

{{/* Every map of plain variables, with its path. */}}
{{- define "stalk.stated.environments" -}}
{{- $stated := list
  (dict "path" (list "app" "env") "variables" .values.app.env)
  (dict "path" (list "pool_defaults" "env") "variables" .values.pool_defaults.env) }}
{{- range $name, $pool := .pools }}
{{- $stated = append $stated (dict "path" (list "pools" $name "env") "variables" ($pool.own.env | default dict)) }}
{{- end }}
{{- range $stated }}
{{- $present := dict }}
{{- range $name, $value := .variables }}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $present $name $value }}{{ end }}
{{- end }}
{{- $_ := set . "variables" $present }}
{{- end }}
{{- $_ := set . "environments" $stated }}
{{- end }}
