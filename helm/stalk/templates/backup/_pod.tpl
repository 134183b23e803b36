{{- define "stalk.restoring" -}}
{{ .Values.backup.kubernetes.restore }}
{{- end }}

{{- define "stalk.backup.scripts" -}}
["backup/backup.py", "backup/restore.py", "backup/database", "backup/database_beside.py", "backup/object_store.py", "backup/redis", "backup/redis_beside.py", "backup/redis_node.py", "secrets/kubernetes_secrets.py"]
{{- end }}

{{/* What these have in common with servers, in files/. */}}
{{- define "stalk.backup.modules" -}}
["backup/backup_identity.py", "backup/backups.py", "broker/resp.py", "secrets/secrets_store.py"]
{{- end }}

{{/* What the scripts are told, as JSON. */}}
{{- define "stalk.backup.plan" -}}
{{- dict
  "app" (dict "name" .Values.app.name)
  "broker" (dict "kind" .Values.broker.kind "component" (include "stalk.broker.component" .) "has_replicas" (ne .Values.broker.topology "single"))
  "database" (dict "kind" .Values.database.kind)
  "release" (include "stalk.image" (dict "root" . "image" .Values.app.kubernetes.image "default" .Values.app.name))
  "keep" (int64 .Values.backup.kubernetes.keep)
  "s3" (pick .Values.backup.kubernetes.s3 "url" "region")
  "restore" (include "stalk.restoring" .)
  "config" (printf "%s-backup" .Values.app.name)
  "app_pods" (printf "app.kubernetes.io/instance=%s,app.kubernetes.io/component in (web,worker,beat,flower,migrations)" .Release.Name)
  | toPrettyJson }}
{{- end }}

{{/* A Job's pod that runs one of the scripts, with PostgreSQL's programs beside, and for a restore a Redis that has the
     backup. dict "root" "command" ["account" "restores" "label" "config"] */}}
{{- define "stalk.backup.pod" }}
{{- $values := .root.Values }}
{{- $own := $values.backup.kubernetes }}
{{- $options := include "stalk.options" (list .root $own) | fromJson }}
{{- $_ := set $options "labels" (merge (dict) (.label | default dict) $options.labels) }}
{{- $context := merge (dict "component" "backup" "options" $options "token" (.restores | default false)) . }}
{{- $redis := eq (include "stalk.broker.component" .root) "redis" }}
{{- $security := include "stalk.container.securityContext" . }}
metadata:
  {{- include "stalk.pod.metadata" $context | nindent 2 }}
spec:
  restartPolicy: Never
  {{- include "stalk.pod.spec" $context | nindent 2 }}
  initContainers:
    {{- with $options.initContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- range $options.sidecars }}
    - {{ merge (dict "restartPolicy" "Always") . | toYaml | nindent 6 | trim }}
    {{- end }}
    - name: postgresql
      image: {{ include "stalk.image" (dict "root" .root "image" $values.database.kubernetes.image) }}
      imagePullPolicy: {{ $values.database.kubernetes.image.pullPolicy }}
      # It runs beside, and ends with the Job.
      restartPolicy: Always
      command: [sh, /opt/stalk/database]
      env:
        - {name: PGHOST, value: {{ $values.app.name }}-postgresql}
        - {name: PGUSER, value: {{ $values.app.name | quote }}}
        - {name: PGDATABASE, value: {{ $values.app.name | quote }}}
        - {name: PGSSLMODE, value: verify-full}
        - {name: PGSSLROOTCERT, value: /etc/stalk/tls/ca.crt}
        - {name: PGSSLCERT, value: /etc/stalk/tls/tls.crt}
        - {name: PGSSLKEY, value: /etc/stalk/tls/tls.key}
      {{- $security | nindent 6 }}
      {{- include "stalk.container.resources" $options.resources | nindent 6 }}
      volumeMounts:
        - {name: scripts, mountPath: /opt/stalk, readOnly: true}
        - {name: password, mountPath: /etc/stalk/password, readOnly: true}
        - {name: tls, mountPath: /etc/stalk/tls, readOnly: true}
        - {name: run, mountPath: /run/stalk}
        - {name: tmp, mountPath: /tmp}
    {{- if and .restores $redis }}
    {{- $broker := include "stalk.broker.options" .root | fromJson }}
    - name: redis
      image: {{ include "stalk.image" (dict "root" .root "image" $broker.image) }}
      imagePullPolicy: {{ $broker.image.pullPolicy }}
      restartPolicy: Always
      command: [sh, /opt/stalk/redis, {{ $values.broker.kind }}]
      {{- $security | nindent 6 }}
      {{- include "stalk.container.resources" $options.resources | nindent 6 }}
      volumeMounts:
        - {name: scripts, mountPath: /opt/stalk, readOnly: true}
        - {name: run, mountPath: /run/stalk}
    {{- end }}
  containers:
    - name: backup
      {{- include "stalk.app.image" .root | nindent 6 }}
      command: {{ toRawJson .command }}
      env:
        - {name: PYTHONPATH, value: /opt/stalk}
        {{- range $name, $file := include "stalk.broker.files" .root | fromJson }}
        - {name: {{ $name }}, value: {{ $file }}}
        {{- end }}
        {{- with $options.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- $security | nindent 6 }}
      {{- include "stalk.container.resources" $options.resources | nindent 6 }}
      volumeMounts:
        - {name: scripts, mountPath: /opt/stalk, readOnly: true}
        - {name: identity, mountPath: /etc/stalk/identity, readOnly: true}
        {{- if $redis }}
        - {name: credentials, mountPath: /etc/stalk/credentials, readOnly: true}
        {{- end }}
        - {name: tls, mountPath: /etc/stalk/tls, readOnly: true}
        - {name: run, mountPath: /run/stalk}
        - {name: tmp, mountPath: /tmp}
        - {name: backups, mountPath: /backups}
        {{- if $own.s3.secret }}
        - {name: s3, mountPath: /etc/stalk/s3, readOnly: true}
        {{- end }}
        {{- with $options.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: scripts
      configMap:
        name: {{ .config | default (printf "%s-backup" $values.app.name) }}
        items:
          - {key: plan.json, path: plan.json}
          {{- range include "stalk.backup.scripts" . | fromJsonArray }}
          - {key: {{ base . }}, path: {{ base . }}}
          {{- end }}
          {{- range include "stalk.backup.modules" . | fromJsonArray }}
          - key: {{ base . }}
            path: {{ include "stalk.module" . }}
          {{- end }}
    - name: password
      secret:
        secretName: {{ include "stalk.secret" (dict "root" .root "own" $values.database.kubernetes.existingSecret) | quote }}
        defaultMode: 0440
        items: [{key: DATABASE_PASSWORD, path: DATABASE_PASSWORD}]
    - name: identity
      secret:
        secretName: {{ include "stalk.secret" (dict "root" .root "own" $own.existingSecret) | quote }}
        defaultMode: 0440
        items: [{key: BACKUP_IDENTITY, path: BACKUP_IDENTITY}]
    {{- if $redis }}
    - name: credentials
      secret:
        secretName: {{ $values.app.name }}-backup
        defaultMode: 0440
        items: [{key: CELERY_BROKER_URL, path: CELERY_BROKER_URL}]
    {{- end }}
    {{- include "stalk.tls.volume" $context | nindent 4 }}
    # Pipes, and for a restore the broker's data: plain text is on no disk.
    - {name: run, emptyDir: {medium: Memory}}
    - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 16Mi}}
    - {name: backups, persistentVolumeClaim: {claimName: {{ $values.app.name }}-backup}}
    {{- with $own.s3.secret }}
    - {name: s3, secret: {secretName: {{ . | quote }}, defaultMode: 0440}}
    {{- end }}
    {{- with $options.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* What fails for want of somebody who is away is tried again, what is refused waits for a person. dict "seconds" */}}
{{- define "stalk.backup.retries" -}}
backoffLimit: 6
activeDeadlineSeconds: {{ .seconds }}
podFailurePolicy:
  rules:
    - {action: FailJob, onExitCodes: {containerName: backup, operator: In, values: [1]}}
{{- end }}
