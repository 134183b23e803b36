{{/* What the Job makes, as JSON: names and shapes only. */}}
{{- define "stalk.plan" -}}
{{- $app := .Values.app.name }}
{{- $store := printf "%s-secrets" $app }}
{{- $broker := include "stalk.secret" (dict "root" . "own" .Values.broker.kubernetes.existingSecret) }}
{{- $database := include "stalk.secret" (dict "root" . "own" .Values.database.kubernetes.existingSecret) }}
{{- $names := dict }}
{{- $texts := dict }}
{{- $digests := dict }}
{{- $embedded := eq .Values.database.kind "embedded" }}
{{- $_ := set $names (ternary "DATABASE_PASSWORD" "DATABASE_URL" $embedded) $database }}
{{- range include "stalk.app.secrets" . | fromJsonArray }}
{{- $_ := set $names . (include "stalk.secret" (dict "root" $ "own" $.Values.app.kubernetes.existingSecret)) }}
{{- end }}
{{- $component := include "stalk.broker.component" . }}
{{- $external := eq $component "external" }}
{{- if $external }}{{- $_ := set $names "CELERY_BROKER_URL" $broker }}{{- end }}
{{- if eq .Values.results.kind "external" }}
{{- $_ := set $names "CELERY_RESULT_BACKEND" (include "stalk.secret" (dict "root" . "own" .Values.results.kubernetes.existingSecret)) }}
{{- end }}
{{- range $component := include "stalk.broker.users" . | fromJsonArray }}
{{- if and (not $external) (include "stalk.broker.has_password" (list $ $component)) }}
{{- $password := include "stalk.broker.password" (list $ $component) }}
{{- $_ := set $names $password $broker }}
{{- $_ := set $digests $component $password }}
{{- end }}
{{- $_ := set $texts (printf "%s-%s" $app $component) (include "stalk.component.texts" (dict "root" $ "component" $component) | fromJson) }}
{{- end }}
{{- if include "stalk.rabbitmq.clustered" . }}{{- $_ := set $names "RABBITMQ_ERLANG_COOKIE" $broker }}{{- end }}
{{- with .Values.backup.kubernetes }}
{{- if .enabled }}{{- $_ := set $names "BACKUP_IDENTITY" (include "stalk.secret" (dict "root" $ "own" .existingSecret)) }}{{- end }}
{{- end }}
{{- if .Values.flower.enabled }}
{{- range list "FLOWER_COOKIE_SECRET" .Values.flower.auth.secret }}
{{- $_ := set $names . (include "stalk.secret" (dict "root" $ "own" $.Values.flower.kubernetes.existingSecret)) }}
{{- end }}
{{- end }}
{{- $variables := (.Files.Get "files/description/rules.yaml" | fromYaml).variables }}
{{- $mode_is_stated := not (kindIs "invalid" (get .Values.app.env "PGSSLMODE" | default nil)) }}
{{- dict
  "labels" (dict "app.kubernetes.io/name" $app "app.kubernetes.io/part-of" $app "app.kubernetes.io/managed-by" "stalk")
  "store" $store
  "names" $names
  "texts" $texts
  "digests" ($external | ternary dict (dict (printf "%s-%s" $app $component) (dict "kind" $component "passwords" $digests)))
  "flower" (.Values.flower.enabled | ternary (pick .Values.flower.auth "kind" "secret") dict)
  "database" ($embedded | ternary dict (dict "encrypted" $variables.encrypted "mode_is_stated" $mode_is_stated))
  "external" (include "stalk.plan.external" . | fromJson)
  "tls" (include "stalk.tls.plan" . | fromJson)
  | toPrettyJson }}
{{- end }}

{{/* What the Job asks a broker and a store of results that somebody else provides, as JSON: whether they can serve. */}}
{{- define "stalk.plan.external" -}}
{{- $plan := dict }}
{{- with .Values.broker }}
{{- if eq .kind "external" }}
{{- $_ := set $plan "broker" (dict
  "secret" "CELERY_BROKER_URL" "protocol" .external "app" $.Values.app.name "queues" (include "stalk.pools.queues" $ | fromJsonArray)
  "ca" .kubernetes.ca "certificate" .kubernetes.certificate "scaled" (include "stalk.keda" $ | empty | not)) }}
{{- end }}
{{- end }}
{{- with .Values.results }}
{{- if eq .kind "external" }}
{{- $_ := set $plan "results" (dict
  "secret" "CELERY_RESULT_BACKEND" "protocol" "redis" "app" $.Values.app.name "queues" list
  "ca" .kubernetes.ca "certificate" "" "scaled" false) }}
{{- end }}
{{- end }}
{{- toJson $plan }}
{{- end }}

{{/* What the Secret of a component says, as JSON. It keeps what an earlier release had in it, for pods that still run by
     that; so a pod takes these keys alone. dict "root" "component" */}}
{{- define "stalk.component.texts" -}}
{{- $text := include "stalk.broker.texts" . | fromJson }}
{{- if and (eq .root.Values.database.kind "embedded") (not (has .component (list "scaler" "queues" "sentinel" "backup"))) }}
{{- $app := .root.Values.app.name }}
{{- $_ := set $text "DATABASE_URL" (printf "postgresql://%s:{DATABASE_PASSWORD}@%s-postgresql:5432/%s" $app $app $app) }}
{{- end }}
{{- toJson $text }}
{{- end }}

{{/* Who speaks to the broker, as JSON. */}}
{{- define "stalk.components" -}}
{{- $components := list "worker" }}
{{- range list "web" "beat" "flower" }}
{{- if (get $.Values .).enabled }}{{- $components = append $components . }}{{- end }}
{{- end }}
{{- if include "stalk.keda" . }}{{- $components = append $components "scaler" }}{{- end }}
{{- if and .Values.backup.kubernetes.enabled (eq (include "stalk.broker.component" .) "redis") }}{{- $components = append $components "backup" }}{{- end }}
{{- toJson $components }}
{{- end }}

{{/* Whether KEDA scales a pool; asked too often for all that "stalk.pools" tells. */}}
{{- define "stalk.keda" -}}
{{- range .Values.pools }}
{{- if . }}
{{- $scale := mergeOverwrite (deepCopy $.Values.pool_defaults.scale) (.scale | default dict) }}
{{- if and (not (kindIs "invalid" $scale.max)) (eq $scale.provider "keda") }}yes{{ break }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What of it the CronJob does: a password that changed comes with the release that rolls who has the one before. */}}
{{- define "stalk.plan.leaves" -}}
{{- $plan := include "stalk.plan" . | fromJson }}
{{- range list "names" "texts" "digests" "flower" "database" "external" }}{{- $_ := set $plan . dict }}{{- end }}
{{- toPrettyJson $plan }}
{{- end }}

{{/* The Secrets that a plan reads, and those that it changes. No name would stand for every Secret. */}}
{{- define "stalk.plan.rules" -}}
{{- $plan := . }}
{{- $made := concat (empty $plan.names | ternary list (list $plan.store)) (keys $plan.texts) (keys $plan.digests) }}
{{- $read := values $plan.names }}
{{- with $plan.tls.signed }}
{{- range .leaves }}{{- $made = append $made .secret }}{{- end }}
{{- if .own }}{{- $made = append $made .ca }}{{- else }}{{- $read = append $read .ca }}{{- end }}
{{- end }}
{{- range $plan.external }}
{{- range list .ca .certificate }}{{ if . }}{{- $read = append $read . }}{{ end }}{{ end }}
{{- end }}
{{- range $plan.tls.given }}{{- $read = append $read .secret }}{{- end }}
{{- $read = concat $made $read | uniq | sortAlpha -}}
{{ with $made -}}
# RBAC cannot name what does not exist yet.
- {apiGroups: [""], resources: [secrets], verbs: [create]}
{{ end -}}
- {apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: {{ $read | toJson }}}
{{- with $made }}
- {apiGroups: [""], resources: [secrets], verbs: [update], resourceNames: {{ uniq . | sortAlpha | toJson }}}
{{- end }}
{{- end }}

{{/* What the Job's script has in common with servers, in files/, as JSON. */}}
{{- define "stalk.secrets.modules" -}}
["backup/backup_identity.py", "backup/backups.py", "broker/amqp.py", "broker/endpoint.py", "broker/fitness.py", "broker/rabbitmq_fitness.py", "broker/redis_fitness.py", "broker/resp.py", "secrets/broker_url.py", "secrets/database_url.py", "secrets/flower_secret.py", "secrets/rabbitmq_password.py", "secrets/secrets_store.py", "certificates/authority.py", "certificates/authority_rotation.py", "certificates/duration.py", "certificates/leaves.py", "certificates/refusal.py"]
{{- end }}

{{/* Where Python looks for one of these. */}}
{{- define "stalk.module" -}}
ansible_collections/stalk/celery/plugins/module_utils/{{ trimPrefix "secrets/" . | trimPrefix "backup/" }}
{{- end }}

{{/* The Job that makes them. dict "root" "name" */}}
{{- define "stalk.secrets.job" -}}
{{ include "stalk.job.retries" "secrets" }}
template:
  {{- include "stalk.secrets.pod" . | nindent 2 }}
{{- end }}

{{- define "stalk.secrets.pod" -}}
{{- $options := include "stalk.options" (list .root .root.Values.app.kubernetes.secrets) | fromJson }}
{{- $context := dict "root" .root "component" "secrets" "options" $options "account" .name "token" true }}
metadata:
  {{- include "stalk.pod.metadata" $context | nindent 2 }}
spec:
  restartPolicy: Never
  {{- include "stalk.pod.spec" $context | nindent 2 }}
  {{- with include "stalk.job.initContainers" $context }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    - name: secrets
      {{- include "stalk.app.image" .root | nindent 6 }}
      command: [python, /opt/stalk/make.py, /opt/stalk/plan.json]
      env:
        - {name: PYTHONPATH, value: /opt/stalk}
        {{- with $options.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- include "stalk.container.securityContext" . | nindent 6 }}
      {{- include "stalk.container.resources" $options.resources | nindent 6 }}
      volumeMounts:
        - {name: scripts, mountPath: /opt/stalk}
        - {name: tmp, mountPath: /tmp}
        {{- with $options.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: scripts
      configMap:
        name: {{ .name }}
        items:
          - {key: make.py, path: make.py}
          - {key: kubernetes_secrets.py, path: kubernetes_secrets.py}
          - {key: authority_secret.py, path: authority_secret.py}
          - {key: plan.json, path: plan.json}
          {{- range include "stalk.secrets.modules" . | fromJsonArray }}
          - key: {{ base . }}
            path: {{ include "stalk.module" . }}
          {{- end }}
    - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 16Mi}}
    {{- with $options.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
