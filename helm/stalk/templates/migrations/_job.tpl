{{- define "stalk.migrations.spec" -}}
backoffLimit: 20
template:
  metadata:
    {{- include "stalk.pod.metadata" . | nindent 4 }}
  spec:
    restartPolicy: OnFailure
    {{- include "stalk.pod.spec" . | nindent 4 }}
    {{- with .options.initContainers }}
    initContainers:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    containers:
      - name: migrations
        {{- include "stalk.app.image" .root | nindent 8 }}
        command: [python, /opt/stalk/migrations.py, apply]
        env:
          {{- include "stalk.env" . | trim | nindent 10 }}
        {{- include "stalk.container.securityContext" . | nindent 8 }}
        {{- include "stalk.container.resources" .options.resources | nindent 8 }}
        volumeMounts:
          {{- include "stalk.app.mounts" . | nindent 10 }}
          {{- with .options.extraVolumeMounts }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
      {{- with .options.sidecars }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    volumes:
      {{- include "stalk.app.volumes" (dict "root" .root "component" "worker") | trim | nindent 6 }}
      {{- with .options.extraVolumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end }}
