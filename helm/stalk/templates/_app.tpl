{{/* What every process of the app has: scripts, credentials, certificates and folders to write to. */}}

{{- define "stalk.app.scripts" -}}
{{- range $name := list "is-alive" "migrations.py" "queues.py" "run-beat" "run-worker" "stop-celery" -}}
{{ $name }}: |
  {{- $.Files.Get (printf "files/app/%s" $name) | nindent 2 }}
{{ end }}
{{- end }}

{{/* The app's secrets, as JSON. The address of a database has a home of its own. */}}
{{- define "stalk.app.secrets" -}}
{{- without .Values.app.secrets "DATABASE_URL" | toJson }}
{{- end }}

{{/* The secret files of docs/contract.md, scripts, and folders to write to. dict "root" "component" ["early"] */}}
{{- define "stalk.app.volumes" -}}
{{- $values := .root.Values }}
- name: credentials
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ $values.app.name }}-{{ .component }}
          items:
            {{- range include "stalk.component.texts" . | fromJson | keys | sortAlpha }}
            - {key: {{ . }}, path: {{ . }}}
            {{- end }}
      {{- if ne $values.database.kind "embedded" }}
      - secret:
          name: {{ include "stalk.secret" (dict "root" .root "own" $values.database.kubernetes.existingSecret) | quote }}
          items: [{key: DATABASE_URL, path: DATABASE_URL}]
      {{- end }}
      {{- with include "stalk.app.secrets" .root | fromJsonArray }}
      - secret:
          name: {{ include "stalk.secret" (dict "root" $.root "own" $values.app.kubernetes.existingSecret) | quote }}
          items:
            {{- range . }}
            - {key: {{ . | quote }}, path: {{ . | quote }}}
            {{- end }}
      {{- end }}
      {{- if eq .component "flower" }}
      - secret:
          name: {{ include "stalk.secret" (dict "root" .root "own" $values.flower.kubernetes.existingSecret) | quote }}
          items:
            {{- range list "FLOWER_COOKIE_SECRET" $values.flower.auth.secret | uniq }}
            - {key: {{ . | quote }}, path: {{ . | quote }}}
            {{- end }}
      {{- end }}
{{ include "stalk.tls.volume" . }}
{{- with include "stalk.broker.sources" .root }}
- name: broker
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
- name: scripts
  configMap: {name: {{ $values.app.name }}-scripts, defaultMode: 0555{{ if .early }}, optional: true{{ end }}}
- name: run
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: tmp
  emptyDir: {}
{{- end }}

{{- define "stalk.app.mounts" -}}
- {name: credentials, mountPath: /etc/stalk/credentials, readOnly: true}
- {name: tls, mountPath: /etc/stalk/tls, readOnly: true}
{{- if include "stalk.broker.sources" . }}
- {name: broker, mountPath: /etc/stalk/broker, readOnly: true}
{{- end }}
- {name: scripts, mountPath: /opt/stalk, readOnly: true}
- {name: run, mountPath: /run/stalk}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{/* What rolls a process of the app beside its own fields: scripts, routes, what its Secret says beside secrets, and Secrets
     of the user's own. */}}
{{- define "stalk.app.digests" -}}
{{- $values := .root.Values -}}
checksum/scripts: {{ include "stalk.app.scripts" .root | sha256sum }}
checksum/routes: {{ include "stalk.routes" .root | sha256sum }}
checksum/secret: {{ include "stalk.component.texts" . | sha256sum }}
{{- range $part := list "app" "broker" "database" "flower" "results" }}
{{- with (get $values $part).kubernetes.existingSecret.digest }}
{{- if or (ne $part "flower") (eq $.component "flower") }}
checksum/{{ $part }}-secret: {{ . | sha256sum }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Waits until the migrations of this image are done, and RabbitMQ has the queues of this release: the names come from a
     ConfigMap, so that another queue rolls nobody whom it does not concern. dict "root" "environment" "options" */}}
{{- define "stalk.app.wait" -}}
{{- include "stalk.app.wait.container" (merge (dict "name" "migrations" "command" (list "python" "/opt/stalk/migrations.py" "await")) .) }}
{{- if eq .root.Values.broker.kind "rabbitmq" }}
{{ include "stalk.app.wait.container" (merge (dict "name" "queues" "command" (list "python" "/opt/stalk/queues.py")) .) }}
{{- end }}
{{- end }}

{{/* dict … "name" "command" */}}
{{- define "stalk.app.wait.container" -}}
- name: {{ .name }}
  {{- include "stalk.app.image" .root | nindent 2 }}
  command: {{ toJson .command }}
  env:
    {{- include "stalk.env" . | trim | nindent 4 }}
    {{- if eq .name "queues" }}
    - name: DEPLOYED_QUEUES
      valueFrom: {configMapKeyRef: {name: {{ .root.Release.Name }}-deployed, key: DEPLOYED_QUEUES}}
    {{- end }}
  {{- include "stalk.container.securityContext" . | nindent 2 }}
  {{- include "stalk.container.resources" .options.resources | nindent 2 }}
  volumeMounts:
    {{- include "stalk.app.mounts" .root | nindent 4 }}
    {{- with .options.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* Probes of a process with a heartbeat. It comes from the start on, whether the broker answers or not. Each costs the
     node 50 ms of CPU, and seconds when it is busy; no Service waits for a readiness. dict "age" "text" */}}
{{- define "stalk.app.probes" -}}
{{- $alive := list "sh" "/opt/stalk/is-alive" (printf "%d" (int64 .age)) -}}
startupProbe:
  exec: {command: {{ toJson $alive }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 90
livenessProbe:
  exec: {command: {{ toJson $alive }}}
  periodSeconds: 30
  timeoutSeconds: 20
  # The heartbeat's age tells of the process; probes that do not get through tell of the node. So no grace of its own:
  # run-worker makes short work of a worker that is silent, and one at work ends its tasks.
  failureThreshold: 4
readinessProbe:
  exec: {command: {{ (.text | empty | ternary $alive (append $alive .text)) | toRawJson }}}
  periodSeconds: 15
  timeoutSeconds: 10
  failureThreshold: 2
{{- end }}
