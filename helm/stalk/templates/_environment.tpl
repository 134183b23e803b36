{{/* The plain variables of docs/contract.md that are the same on every target, and the app's own, as JSON.
     dict "root" "pools" */}}
{{- define "stalk.environment" -}}
{{- $values := .root.Values }}
{{- $routes := dict }}
{{- range $task, $queue := $values.app.routes }}
{{- if $queue }}{{- $_ := set $routes $task $queue }}{{- end }}
{{- end }}
{{- $variables := dict
  "DJANGO_SETTINGS_MODULE" $values.app.settings
  "DJANGO_ALLOWED_HOSTS" $values.web.host
  "CELERY_KEY_PREFIX" (printf "%s:" $values.app.name)
  "CELERY_VISIBILITY_TIMEOUT" (include "stalk.visibility_timeout" .)
  "CELERY_RESULT_EXPIRES" (include "stalk.plain" $values.results.expires)
  "CELERY_TASK_DEFAULT_QUEUE" $values.app.default_queue
  "CELERY_TASK_ROUTES" (toRawJson $routes)
  "CELERY_BEAT_LEASE_TTL" (include "stalk.plain" $values.beat.lease.ttl)
}}
{{- range $name, $value := $values.app.env }}
{{- if not (kindIs "invalid" $value) }}
{{- $_ := set $variables $name (include "stalk.plain" $value) }}
{{- end }}
{{- end }}
{{- toRawJson $variables }}
{{- end }}

{{/* The variables of a process of the app, as a container's `env`. A changed variable is a changed pod, so that a
     container that restarts keeps what its release was given.
     dict "root" "environment" "options" ["heartbeat" "here"] */}}
{{- define "stalk.env" -}}
{{- $values := .root.Values }}
{{- $variables := dict
  "DJANGO_CSRF_TRUSTED_ORIGINS" (printf "https://%s" $values.web.host)
  "CREDENTIALS_DIRECTORY" "/etc/stalk/credentials"
  "CELERY_TLS_CA" "/etc/stalk/tls/ca.crt"
  "CELERY_TLS_CERT" "/etc/stalk/tls/tls.crt"
  "CELERY_TLS_KEY" "/etc/stalk/tls/tls.key"
  "PYTHONUNBUFFERED" "1"
}}
{{- if eq $values.database.kind "embedded" }}
{{- $_ := set $variables "PGSSLMODE" "verify-full" }}
{{- $_ := set $variables "PGSSLROOTCERT" "/etc/stalk/tls/ca.crt" }}
{{- $_ := set $variables "PGSSLCERT" "/etc/stalk/tls/tls.crt" }}
{{- $_ := set $variables "PGSSLKEY" "/etc/stalk/tls/tls.key" }}
{{- end }}
{{- with .heartbeat }}
{{- $_ := set $variables "CELERY_HEARTBEAT_FILE" "/run/stalk/heartbeat" }}
{{- end }}
{{- range $name, $value := mergeOverwrite $variables .environment (.here | default dict) }}
- name: {{ $name }}
  value: {{ $value | replace "$(" "$$(" | quote }}
{{- end }}
{{- with .options.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
