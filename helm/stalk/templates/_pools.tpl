{{/* What follows from a pool; the servers' home of the same is plugins/module_utils/description/derive.py. */}}

{{/* Every pool over pool_defaults, with its grace, as JSON. */}}
{{- define "stalk.pools" -}}
{{- $pools := dict }}
{{- range $name, $pool := .Values.pools }}
{{- if $pool }}
{{- $merged := mergeOverwrite (deepCopy $.Values.pool_defaults) (deepCopy $pool) }}
{{- $env := dict }}
{{- range $key, $value := $merged.env }}
{{- if not (kindIs "invalid" $value) }}
{{- $_ := set $env $key (include "stalk.plain" $value) }}
{{- end }}
{{- end }}
{{- $_ := set $merged "env" $env }}
{{- $_ := set $merged "grace" (include "stalk.pool.grace" $merged | int64) }}
{{- $_ := set $merged "scaled" (not (kindIs "invalid" $merged.scale.max)) }}
{{- if and $merged.scaled (ne (include "stalk.broker.protocol" $.Values.broker) "rabbitmq") }}
{{- $_ := set $env "CELERY_UNACKED_TAGS_KEY" (printf "unacked_tags.%s" $name) }}
{{- end }}
{{- $_ := set $pools $name $merged }}
{{- end }}
{{- end }}
{{- toRawJson $pools }}
{{- end }}

{{/* Every queue that a pool consumes, as JSON. */}}
{{- define "stalk.pools.queues" -}}
{{- $queues := list }}
{{- range .Values.pools }}{{ if . }}{{ $queues = concat $queues .queues }}{{ end }}{{ end }}
{{- $queues | uniq | sortAlpha | toRawJson }}
{{- end }}

{{/* A stop signals 15 s before the grace ends, so that much of it is no working time; the rest is slack. */}}
{{- define "stalk.pool.grace" -}}
{{- if kindIs "invalid" .grace }}{{ add (int64 .time_limit) 30 }}{{ else }}{{ int64 .grace }}{{ end }}
{{- end }}

{{/* SIGQUIT makes prefork give its messages back. The others acknowledge what they kill, which loses it
     (celery 5.7.0, concurrency/gevent.py:_make_killable_target and worker/request.py:on_success). */}}
{{- define "stalk.pool.signal" -}}
{{ if eq .pool "prefork" }}QUIT{{ else }}KILL{{ end }}
{{- end }}

{{/* What `celery worker` is called with, apart from the application and the node's name. list POOL "PROTOCOL OF THE BROKER" */}}
{{- define "stalk.pool.arguments" -}}
{{- $broker := last . }}
{{- with first . -}}
- --pool={{ .pool }}
- --concurrency={{ if eq .pool "solo" }}1{{ else }}{{ include "stalk.plain" .concurrency }}{{ end }}
- --queues={{ join "," .queues }}
- --loglevel={{ .loglevel }}
- --prefetch-multiplier=1
{{- if ne $broker "rabbitmq" }}
- --disable-prefetch
{{- end }}
{{- if has .pool (list "prefork" "gevent") }}
- --time-limit={{ int64 .time_limit }}
{{- end }}
{{- if eq .pool "prefork" }}
- --soft-time-limit={{ int64 .soft_time_limit }}
{{- if .max_tasks_per_child }}
- --max-tasks-per-child={{ int64 .max_tasks_per_child }}
{{- end }}
{{- if .max_memory_per_child }}
- --max-memory-per-child={{ int64 .max_memory_per_child }}
{{- end }}
{{- end }}
- --without-gossip
{{- if .task_events }}
- --task-events
{{- end }}
{{- end }}
{{- end }}

{{/* As a shell would write the value: true, 1, text. Numbers arrive as floats. */}}
{{- define "stalk.plain" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* dict "values" "pools" */}}
{{- define "stalk.visibility_timeout" -}}
{{- $stated := .values.broker.visibility_timeout }}
{{- if kindIs "invalid" $stated }}{{ include "stalk.least_visibility_timeout" . }}{{ else }}{{ int64 $stated }}{{ end }}
{{- end }}

{{/* With Redis a worker holds a message until its ETA, too; RabbitMQ holds it itself. dict "values" "pools" */}}
{{- define "stalk.least_visibility_timeout" -}}
{{- add (include "stalk.least_consumer_timeout" . | int64) (int64 .values.app.longest_eta) }}
{{- end }}

{{/* dict "values" "pools" */}}
{{- define "stalk.consumer_timeout" -}}
{{- $stated := .values.broker.consumer_timeout }}
{{- if kindIs "invalid" $stated }}{{ include "stalk.least_consumer_timeout" . }}{{ else }}{{ int64 $stated }}{{ end }}
{{- end }}

{{/* A message must not be taken from the worker that may still work on it. dict "pools" */}}
{{- define "stalk.least_consumer_timeout" -}}
{{- $limit := 0 }}
{{- $grace := 0 }}
{{- range .pools }}
{{- $limit = max $limit (int64 .time_limit) }}
{{- $grace = max $grace (include "stalk.pool.grace" . | int64) }}
{{- end }}
{{- add $limit $grace }}
{{- end }}

{{/* Up at once; down slowly, one worker a minute, and not before a lull as long as the grace (an hour is the most that
     Kubernetes takes). */}}
{{- define "stalk.scale.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - {type: Percent, value: 100, periodSeconds: 15}
    - {type: Pods, value: 4, periodSeconds: 15}
  selectPolicy: Max
scaleDown:
  stabilizationWindowSeconds: {{ min 3600 (max 300 (int64 .grace)) }}
  policies:
    - {type: Pods, value: 1, periodSeconds: 60}
{{- end }}
