{{/* The plain variables of docs/contract.md that are the same on every target, and the app's own, as JSON.
     dict "root" "pools" */}}
{{- define "stalk.environment" -}}
{{- $values := .root.Values }}
{{- $variables := dict
  "DJANGO_SETTINGS_MODULE" $values.app.settings
  "DJANGO_ALLOWED_HOSTS" $values.web.host
  "CELERY_KEY_PREFIX" (printf "%s:" $values.app.name)
  "CELERY_VISIBILITY_TIMEOUT" (include "stalk.visibility_timeout" (dict "values" $values "pools" .pools))
  "CELERY_RESULT_EXPIRES" (include "stalk.plain" $values.results.expires)
  "CELERY_TASK_DEFAULT_QUEUE" $values.app.default_queue
  "CELERY_BEAT_LEASE_TTL" (include "stalk.plain" $values.beat.lease.ttl)
}}
{{- if eq $values.broker.topology "cluster" }}
{{- $_ := set $variables "CELERY_BROKER_HOSTNAME" (printf "%s-rabbitmq" $values.app.name) }}
{{- end }}
{{- if eq $values.broker.topology "sentinel" }}
{{- $_ := set $variables "CELERY_SENTINEL_MASTER" $values.app.name }}
{{- end }}
{{- range $name, $value := $values.app.env }}
{{- if not (kindIs "invalid" $value) }}
{{- $_ := set $variables $name (include "stalk.plain" $value) }}
{{- end }}
{{- end }}
{{- toRawJson $variables }}
{{- end }}

{{/* Names first, then globs from the longest literal text to the shortest: Celery takes the first that matches. JSON that
     is written by hand keeps that order. */}}
{{- define "stalk.routes" -}}
{{- $ranked := list }}
{{- range $task, $queue := .Values.app.routes }}
{{- if $queue }}
{{- $literal := replace "*" "" $task | len }}
{{- $ranked = append $ranked (printf "%03d %s" (contains "*" $task | ternary (sub 999 $literal) 0) $task) }}
{{- end }}
{{- end }}
{{- $routes := list }}
{{- range sortAlpha $ranked }}
{{- $task := splitList " " . | last }}
{{- $routes = append $routes (printf "%s: %s" (toJson $task) (get $.Values.app.routes $task | toJson)) }}
{{- end -}}
{ {{- join ", " $routes -}} }
{{- end }}

{{/* The variables of a process of the app, as a container's `env`. A changed variable is a changed pod, so that a
     container that restarts keeps what its release was given; but the routes, which each pool makes longer, are said
     once: in every pod they would make a release of many pools too large for the Secret that Helm keeps it in.
     `early`: before the release, which may not have its ConfigMaps yet.
     dict "root" "environment" "options" ["heartbeat" "here" "early"] */}}
{{- define "stalk.env" -}}
{{- $values := .root.Values }}
{{- $variables := dict
  "DJANGO_CSRF_TRUSTED_ORIGINS" (printf "https://%s" $values.web.host)
  "CREDENTIALS_DIRECTORY" "/etc/stalk/credentials"
  "PYTHONUNBUFFERED" "1"
}}
{{- $_ := merge $variables (include "stalk.broker.files" .root | fromJson) }}
{{- if eq $values.database.kind "embedded" }}
{{- $_ := set $variables "PGSSLMODE" "verify-full" }}
{{- $_ := set $variables "PGSSLROOTCERT" "/etc/stalk/tls/ca.crt" }}
{{- $_ := set $variables "PGSSLCERT" "/etc/stalk/tls/tls.crt" }}
{{- $_ := set $variables "PGSSLKEY" "/etc/stalk/tls/tls.key" }}
{{- end }}
{{- if .early }}
{{- $_ := set $variables "CELERY_TASK_ROUTES" (include "stalk.routes" .root) }}
{{- end }}
{{- with .heartbeat }}
{{- $_ := set $variables "CELERY_HEARTBEAT_FILE" "/run/stalk/heartbeat" }}
{{- end }}
{{- range $name, $value := mergeOverwrite $variables .environment (.here | default dict) }}
- name: {{ $name | quote }}
  {{- /* The kubelet makes `$` of `$$`, and a variable's value of `$(NAME)`. */}}
  value: {{ $value | replace "$" "$$" | quote }}
{{- end }}
{{- if not .early }}
- name: CELERY_TASK_ROUTES
  valueFrom: {configMapKeyRef: {name: {{ $values.app.name }}-routes, key: CELERY_TASK_ROUTES}}
{{- end }}
{{- with .options.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
