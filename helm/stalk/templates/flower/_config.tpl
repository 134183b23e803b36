{{- define "stalk.flower.config" -}}
options.json: |
  {{- dict
    "address" "" "port" (int64 .Values.flower.port) "auth" .Values.flower.auth "url" (printf "https://%s/flower" .Values.web.host)
    "read_only" .Values.flower.read_only "max_tasks" (int64 .Values.flower.max_tasks)
    "purge_offline_workers" (int64 .Values.flower.purge_offline_workers)
    "state_save_interval" (int64 .Values.flower.state_save_interval) "db" "/data/state"
    "broker_api" (include "stalk.broker.api" .) "broker_tls" (include "stalk.broker.api.files" . | fromJson)
    "tls" (dict "ca" "/etc/stalk/tls/ca.crt" "certificate" "/etc/stalk/tls/tls.crt" "key" "/etc/stalk/tls/tls.key")
    | toPrettyJson | nindent 2 }}
{{- range $name := list "flower.py" "is-ready.py" }}
{{ $name }}: |
  {{- $.Files.Get (printf "files/flower/%s" $name) | nindent 2 }}
{{- end }}
{{- end }}
