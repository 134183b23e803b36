{{/* The component that the broker is: redis, which Valkey is too, or rabbitmq; or external. */}}
{{- define "stalk.broker.component" -}}
{{- $components := (.Files.Get "files/description/rules.yaml" | fromYaml).broker.components -}}
{{ get $components .Values.broker.kind | default .Values.broker.kind }}
{{- end }}

{{/* What the app's processes speak to it, whoever provides it. BROKER */}}
{{- define "stalk.broker.protocol" -}}
{{- has "rabbitmq" (list .kind (eq .kind "external" | ternary .external "")) | ternary "rabbitmq" "redis" }}
{{- end }}

{{/* The port of a broker that Stalk provisions: the one stated, or that of its component. */}}
{{- define "stalk.broker.port" -}}
{{- $ports := (.Files.Get "files/description/rules.yaml" | fromYaml).broker.ports }}
{{- $stated := .Values.broker.port }}
{{- if kindIs "invalid" $stated }}{{ get $ports (include "stalk.broker.component" .) | default $ports.redis | int64 }}{{ else }}{{ int64 $stated }}{{ end }}
{{- end }}

{{- define "stalk.broker.nodes" -}}
{{ eq .Values.broker.topology "single" | ternary 1 (int64 .Values.broker.kubernetes.replicas) }}
{{- end }}

{{/* The pods' options of a broker that Stalk provisions, its image too: of all, of its kind, its own; as JSON. What its kind
     asks for goes over the chart's default alone: a limit that the description states may be below it. */}}
{{- define "stalk.broker.options" -}}
{{- $usual := get (.Files.Get "files/description/rules.yaml" | fromYaml).broker.kubernetes .Values.broker.kind }}
{{- $own := deepCopy .Values.broker.kubernetes }}
{{- $default := (.Files.Get "files/description/schema.json" | fromJson).properties.kubernetes.properties.resources.default }}
{{- if or $own.resources (ne (toJson .Values.kubernetes.resources) (toJson $default)) }}{{- $usual = omit $usual "resources" }}{{- end }}
{{- range $key, $value := $own.image }}{{ if not $value }}{{ $_ := unset $own.image $key }}{{ end }}{{ end }}
{{- include "stalk.options" (list . $usual $own) }}
{{- end }}

{{/* Who has a password of it, as JSON: who speaks to it, and the hook that counts what is in RabbitMQ's queues. */}}
{{- define "stalk.broker.users" -}}
{{- $users := include "stalk.components" . | fromJsonArray }}
{{- if include "stalk.redis.sentinel" . }}{{- $users = append $users "sentinel" }}{{- end }}
{{- eq .Values.broker.kind "rabbitmq" | ternary (append $users "queues") $users | toJson }}
{{- end }}

{{/* Whether it is by a password that the broker lets a user in; where certificates log in, the management API knows no
     other login. list ROOT USER */}}
{{- define "stalk.broker.has_password" -}}
{{- with first . }}
{{- $rights := (.Files.Get "files/rabbitmq/rights.yaml" | fromYaml).components }}
{{- if or (eq .Values.broker.login "password") (get $rights (last $)).tags }}yes{{ end }}
{{- end }}
{{- end }}

{{/* REDIS_PASSWORD_worker; list ROOT USER */}}
{{- define "stalk.broker.password" -}}
{{ include "stalk.broker.component" (first .) | upper }}_PASSWORD_{{ last . }}
{{- end }}

{{/* Where RabbitMQ's management API is, within the release's namespace. */}}
{{- define "stalk.broker.management" -}}
{{ .Values.app.name }}-rabbitmq:{{ int64 .Values.broker.management_port }}
{{- end }}

{{/* The address of that API as Flower takes it; empty where there is none. */}}
{{- define "stalk.broker.api" -}}
{{- with .Values.broker }}
{{- if eq .kind "rabbitmq" }}https://{{ include "stalk.broker.management" $ }}/api/
{{- else if .management_url }}{{ .management_url }}/api/
{{- end }}
{{- end }}
{{- end }}

{{/* What Flower trusts it by, and shows it, as JSON. */}}
{{- define "stalk.broker.api.files" -}}
{{- $files := include "stalk.broker.files" . | fromJson }}
{{- dict "ca" $files.CELERY_TLS_CA "certificate" ($files.CELERY_TLS_CERT | default "") "key" ($files.CELERY_TLS_KEY | default "") | toJson }}
{{- end }}

{{- define "stalk.results.kind" -}}
{{- if ne .Values.results.kind "auto" }}{{ .Values.results.kind }}
{{- else }}{{ eq (include "stalk.broker.protocol" .Values.broker) "rabbitmq" | ternary "database" "redis" }}
{{- end }}
{{- end }}

{{/* What a component's Secret says of the broker, as JSON: `{NAME}` stands for a secret in a URL, `{=NAME}` for one as it
     is; BROKER_… are parts of the external broker's URL. dict "root" "component" */}}
{{- define "stalk.broker.texts" -}}
{{- $values := .root.Values }}
{{- $broker := include "stalk.broker.component" .root }}
{{- $external := eq $broker "external" }}
{{- $password := include "stalk.broker.password" (list .root .component) }}
{{- $text := dict }}
{{- if and (eq .component "scaler") $external (eq $values.broker.external "rabbitmq") }}
{{- $text = dict "username" "{=BROKER_USERNAME}" "password" "{=BROKER_PASSWORD}" "vhostName" "{=BROKER_PLACE}" "tls" "enable" }}
{{- else if and (eq .component "scaler") $external }}
{{- $text = dict "address" "{=BROKER_ADDRESS}" "username" "{=BROKER_USERNAME}" "password" "{=BROKER_PASSWORD}" }}
{{- else if eq .component "scaler" }}
{{- $text = dict "username" .component "password" (printf "{=%s}" $password) }}
{{- /* KEDA takes this word from a Secret alone (keda 2.21, scalers/rabbitmq_scaler.go: EnableTLS). */}}
{{- if eq $broker "rabbitmq" }}{{- $_ := set $text "tls" "enable" }}{{- end }}
{{- if include "stalk.redis.sentinel" .root }}
{{- $_ := set $text "sentinelUsername" $text.username }}
{{- $_ := set $text "sentinelPassword" $text.password }}
{{- end }}
{{- else if eq .component "sentinel" }}
{{- $text = dict "password" (printf "{=%s}" $password) }}
{{- else if eq .component "queues" }}
{{- $text = dict "BROKER_API" (printf "https://%s:{%s}@%s/%s" .component $password (include "stalk.broker.management" .root) $values.app.name) }}
{{- else }}
{{- $by_certificate := eq $values.broker.login "certificate" }}
{{- $user := $by_certificate | ternary "" (printf "%s:{%s}@" .component $password) }}
{{- $address := printf "%s%s-%s:%d" $user $values.app.name $broker (include "stalk.broker.port" .root | int64) }}
{{- $amqps := printf "amqps://%s/%s%s" $address $values.app.name ($by_certificate | ternary "?login_method=EXTERNAL" "") }}
{{- $made := eq $broker "rabbitmq" | ternary $amqps (printf "rediss://%s/0" $address) }}
{{- $results_made := printf "rediss://%s/1" $address }}
{{- if include "stalk.redis.sentinel" .root }}
{{- $user := printf "%s:{%s}" .component $password }}
{{- $made = include "stalk.redis.sentinel.url" (list .root $user 0) }}
{{- $results_made = include "stalk.redis.sentinel.url" (list .root $user 1) }}
{{- end }}
{{- $_ := set $text "CELERY_BROKER_URL" ($external | ternary "{=CELERY_BROKER_URL}" $made) }}
{{- if and (eq $broker "rabbitmq") (eq .component "flower") }}{{- $_ := set $text $password (printf "{=%s}" $password) }}{{- end }}
{{- $results := include "stalk.results.kind" .root }}
{{- if eq $results "external" }}
{{- $_ := set $text "CELERY_RESULT_BACKEND" "{=CELERY_RESULT_BACKEND}" }}
{{- else if eq $results "redis" }}
{{- $_ := set $text "CELERY_RESULT_BACKEND" ($external | ternary "{=CELERY_BROKER_URL}" $results_made) }}
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
{{- with .Values.results }}
{{- if eq .kind "external" }}
{{- $_ := set $files "CELERY_RESULT_TLS_CA" (empty .kubernetes.ca | ternary "/etc/ssl/certs/ca-certificates.crt" "/etc/stalk/broker/results.crt") }}
{{- end }}
{{- end }}
{{- toJson $files }}
{{- end }}

{{/* Of these, the Secrets of the user's own. */}}
{{- define "stalk.broker.sources" -}}
{{- if eq .Values.results.kind "external" }}
{{- with .Values.results.kubernetes.ca }}
- secret: {name: {{ . | quote }}, items: [{key: ca.crt, path: results.crt}]}
{{- end }}
{{- end }}
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
