{{/* Limits under which a stop, a restart or the broker itself would lose or repeat work, as
     plugins/module_utils/description/limits.py refuses them. */}}
{{- define "stalk.limits" -}}
{{- range $name, $pool := .pools }}
{{- template "stalk.limits.pool" (dict "run" $ "name" $name "pool" $pool) }}
{{- template "stalk.limits.kind" (dict "run" $ "name" $name "pool" $pool) }}
{{- end }}
{{- template "stalk.limits.timeouts" . }}
{{- template "stalk.limits.memory" . }}
{{- template "stalk.limits.disk" . }}
{{- template "stalk.limits.certificates" . }}
{{- end }}

{{/* A pool that takes a limit and time_limit from pool_defaults is not at fault itself. dict "run" "name" "pool" */}}
{{- define "stalk.limits.pool" -}}
{{- $limit := int64 .pool.time_limit }}
{{- $soft := int64 .pool.soft_time_limit }}
{{- $age := int64 .pool.heartbeat_max_age }}
{{- $grace := include "stalk.pool.grace" .pool | int64 }}
{{- $slack := include "stalk.pool.grace" (dict "time_limit" 0 "grace" nil) | int64 }}
{{- $needed := add $limit $slack }}
{{- $facts := dict "pool" .name "limit" $limit "soft" $soft "age" $age "grace" $grace "slack" $slack "needed" $needed }}
{{- $own := hasKey .pool.own "time_limit" | ternary (list "pools" .name) list }}
{{- if lt $grace $needed }}
{{- $at := $own | default (hasKey .pool.own "grace" | ternary (list "pools" .name) (list "pool_defaults")) }}
{{- template "stalk.refuse" (dict "run" .run "path" (append $at "grace") "saying" "grace_short" "facts" $facts) }}
{{- end }}
{{- if and (eq .pool.pool "prefork") (ge $soft $limit) }}
{{- $at := $own | default (hasKey .pool.own "soft_time_limit" | ternary (list "pools" .name) (list "pool_defaults")) }}
{{- $remedy := get .run.sayings.remedies (gt $limit 1 | ternary "soft_below" "soft_room") }}
{{- $_ := set $facts "remedy" (include "stalk.said" (dict "text" $remedy "facts" $facts)) }}
{{- template "stalk.refuse" (dict "run" .run "path" (append $at "soft_time_limit") "saying" "soft_limit_long" "facts" $facts) }}
{{- end }}
{{- if and (eq .pool.pool "solo") (lt $age $needed) }}
{{- template "stalk.refuse" (dict "run" .run "path" (list "pools" .name "heartbeat_max_age") "saying" "heartbeat_short" "facts" $facts) }}
{{- end }}
{{- end }}

{{/* What a pool itself asks for and its kind does not do. dict "run" "name" "pool" */}}
{{- define "stalk.limits.kind" -}}
{{- $kind := .pool.pool }}
{{- $own := .pool.own }}
{{- $path := list "pools" .name "concurrency" }}
{{- $facts := dict "pool" .name "kind" $kind "concurrency" .pool.concurrency }}
{{- range $key := .run.rules.limits.prefork_only }}
{{- if and (ne $kind "prefork") (index $own $key) }}
{{- template "stalk.refuse" (dict "run" $.run "path" (list "pools" $.name $key) "saying" "no_children" "facts" $facts) }}
{{- end }}
{{- end }}
{{- if and (eq $kind "solo") (hasKey $own "concurrency") (ne (toString .pool.concurrency) "1") }}
{{- template "stalk.refuse" (dict "run" .run "path" $path "saying" "one_at_a_time" "facts" $facts) }}
{{- end }}
{{- if and (has $kind (list "gevent" "threads")) (eq (toString .pool.concurrency) "auto") }}
{{- template "stalk.refuse" (dict "run" .run "path" $path "saying" "automatic" "facts" $facts) }}
{{- end }}
{{- end }}

{{- define "stalk.limits.timeouts" -}}
{{- range $key, $saying := dict "visibility_timeout" "visibility_short" "consumer_timeout" "consumer_short" }}
{{- $timeout := get $.values.broker $key | default nil }}
{{- $least := include (printf "stalk.least_%s" $key) $ | int64 }}
{{- if and (not (kindIs "invalid" $timeout)) (lt (int64 $timeout) $least) }}
{{- template "stalk.refuse" (dict "run" $ "path" (list "broker" $key) "saying" $saying "facts" (dict "timeout" $timeout "least" $least)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "stalk.limits.memory" -}}
{{- $written := include "stalk.plain" .values.broker.maxmemory }}
{{- $size := include "stalk.bytes" (list $written .rules.limits.size_units) | float64 }}
{{- $kind := .values.broker.kind }}
{{- $least := get .rules.limits.least_memory (get .rules.broker.components $kind | default $kind) | default 0 | float64 }}
{{- if and $size (lt $size $least) }}
{{- $facts := dict
  "written" (include "stalk.quoted" $written)
  "broker" (get .rules.broker.names $kind)
  "least" (printf "%dmb" (divf $least .rules.limits.size_units.mb | int64)) }}
{{- template "stalk.refuse" (dict "run" . "path" (list "broker" "maxmemory") "saying" "memory_small" "facts" $facts) }}
{{- end }}
{{- end }}

{{/* Of the chart alone: only Kubernetes knows how large the volume is. */}}
{{- define "stalk.limits.disk" -}}
{{- $written := include "stalk.plain" .values.broker.disk_free_limit }}
{{- $size := .values.broker.kubernetes.storage.size }}
{{- $limit := include "stalk.bytes" (list $written .rules.limits.size_units) | float64 }}
{{- $most := include "stalk.bytes" (list $size .rules.limits.volume_units) | float64 | mulf 0.5 }}
{{- if and (eq .values.broker.kind "rabbitmq") (ge $limit $most) }}
{{- $facts := dict "written" (include "stalk.quoted" $written) "size" $size }}
{{- template "stalk.refuse" (dict "run" . "path" (list "broker" "disk_free_limit") "saying" "disk_small" "facts" $facts) }}
{{- end }}
{{- end }}

{{/* A size of the schema, such as 512mb. list WRITTEN UNITS */}}
{{- define "stalk.bytes" -}}
{{- $unit := first . | lower | regexFind "[a-z]+" | default "b" }}
{{- mulf (first . | regexFind "[0-9]+" | float64) (get (last .) $unit) | printf "%.0f" }}
{{- end }}

{{- define "stalk.limits.certificates" -}}
{{- $before := include "stalk.plain" .values.tls.rotate_before }}
{{- $lifetime := include "stalk.plain" .values.tls.lifetime }}
{{- if ge (include "stalk.number_meant" $before | int64) (include "stalk.number_meant" $lifetime | int64) }}
{{- template "stalk.refuse" (dict "run" . "path" (list "tls" "rotate_before") "saying" "renewed_always" "facts" (dict "before" $before "lifetime" $lifetime)) }}
{{- end }}
{{- end }}
