{{/* The pod that runs the command of files/app/migrations.py. dict … "command" "restart" ["account" "early"] */}}
{{- define "stalk.migrations.pod" -}}
template:
  metadata:
    {{- include "stalk.pod.metadata" . | nindent 4 }}
  spec:
    restartPolicy: {{ .restart }}
    {{- include "stalk.pod.spec" . | nindent 4 }}
    {{- with include "stalk.job.initContainers" . }}
    {{- . | nindent 4 }}
    {{- end }}
    containers:
      - name: migrations
        {{- include "stalk.app.image" .root | nindent 8 }}
        command: {{ toRawJson .command }}
        env:
          {{- include "stalk.env" . | trim | nindent 10 }}
        {{- include "stalk.container.securityContext" . | nindent 8 }}
        {{- include "stalk.container.resources" .options.resources | nindent 8 }}
        volumeMounts:
          {{- include "stalk.app.mounts" .root | nindent 10 }}
          {{- with .options.extraVolumeMounts }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
    volumes:
      {{- include "stalk.app.volumes" (dict "root" .root "component" "worker" "early" .early) | trim | nindent 6 }}
      {{- with .options.extraVolumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end }}

{{- define "stalk.migrations.context" -}}
{{- $options := include "stalk.options" (list . .Values.app.kubernetes.migrations) | fromJson }}
{{- $environment := include "stalk.environment" (dict "root" . "pools" (include "stalk.pools" . | fromJson)) | fromJson }}
{{- $digests := include "stalk.app.digests" (dict "root" . "component" "worker") | fromYaml }}
{{- dict "component" "migrations" "options" $options "digests" $digests "environment" $environment | toRawJson }}
{{- end }}
