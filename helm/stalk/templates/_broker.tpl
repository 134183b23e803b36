{{/* The port of a broker that Stalk provisions: the one stated, or that of its kind. */}}
{{- define "stalk.broker.port" -}}
{{- $ports := (.Files.Get "files/description/rules.yaml" | fromYaml).broker.ports }}
{{- $stated := .Values.broker.port }}
{{- if kindIs "invalid" $stated }}{{ get $ports .Values.broker.kind | default $ports.redis | int64 }}{{ else }}{{ int64 $stated }}{{ end }}
{{- end }}

{{- define "stalk.results.kind" -}}
{{- if ne .Values.results.kind "auto" }}{{ .Values.results.kind }}
{{- else }}{{ eq .Values.broker.kind "rabbitmq" | ternary "database" "redis" }}
{{- end }}
{{- end }}

{{/* What a component's Secret says of the broker, as JSON: `{NAME}` stands for a secret in a URL, `{=NAME}` for one as it
     is; BROKER_… are parts of the external broker's URL. dict "root" "component" */}}
{{- define "stalk.broker.texts" -}}
{{- $values := .root.Values }}
{{- $external := eq $values.broker.kind "external" }}
{{- $password := printf "REDIS_PASSWORD_%s" .component }}
{{- $text := dict }}
{{- if and (eq .component "scaler") $external }}
{{- $text = dict "address" "{=BROKER_ADDRESS}" "username" "{=BROKER_USERNAME}" "password" "{=BROKER_PASSWORD}" }}
{{- else if eq .component "scaler" }}
{{- $text = dict "username" .component "password" (printf "{=%s}" $password) }}
{{- else }}
{{- $redis := printf "rediss://%s:{%s}@%s-redis:%d" .component $password $values.app.name (include "stalk.broker.port" .root | int64) }}
{{- $_ := set $text "CELERY_BROKER_URL" ($external | ternary "{=CELERY_BROKER_URL}" (printf "%s/0" $redis)) }}
{{- $results := include "stalk.results.kind" .root }}
{{- if eq $results "redis" }}
{{- $_ := set $text "CELERY_RESULT_BACKEND" ($external | ternary "{=CELERY_RESULT_BACKEND}" (printf "%s/1" $redis)) }}
{{- else if eq $results "database" }}
{{- $_ := set $text "CELERY_RESULT_BACKEND" "django-db" }}
{{- end }}
{{- end }}
{{- toJson $text }}
{{- end }}

{{/* What the app's processes trust the broker by, and show it, as JSON. */}}
{{- define "stalk.broker.files" -}}
{{- $own := .Values.broker.kubernetes }}
{{- $external := eq .Values.broker.kind "external" }}
{{- $folder := $external | ternary "/etc/stalk/broker" "/etc/stalk/tls" }}
{{- $files := dict "CELERY_TLS_CA" (printf "%s/ca.crt" $folder) }}
{{- if and $external (not $own.ca) }}
{{- $_ := set $files "CELERY_TLS_CA" "/etc/ssl/certs/ca-certificates.crt" }}
{{- end }}
{{- if or (not $external) $own.certificate }}
{{- $_ := set $files "CELERY_TLS_CERT" (printf "%s/tls.crt" $folder) }}
{{- $_ := set $files "CELERY_TLS_KEY" (printf "%s/tls.key" $folder) }}
{{- end }}
{{- toJson $files }}
{{- end }}

{{/* Of these, the Secrets of the user's own. */}}
{{- define "stalk.broker.sources" -}}
{{- with .Values.broker }}
{{- if eq .kind "external" }}
{{- with .kubernetes.ca }}
- secret: {name: {{ . | quote }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- with .kubernetes.certificate }}
- secret: {name: {{ . | quote }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
