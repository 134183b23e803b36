{{/* The management API counts what waits with what workers hold (keda 2.21, scalers/rabbitmq_scaler.go:getQueueStatus).
     list ROOT QUEUE */}}
{{- define "stalk.scale.rabbitmq" -}}
{{- with first . -}}
{{- $where := dict "host" (printf "https://%s-rabbitmq.%s.svc:%d" .Values.app.name .Release.Namespace (int64 .Values.broker.management_port)) "vhostName" .Values.app.name }}
{{- if eq .Values.broker.kind "external" }}{{ $where = dict "host" .Values.broker.management_url }}{{ end }}
{{- merge (dict "protocol" "http" "queueName" (last $) "mode" "QueueLength" "value" "1") $where | toJson }}
{{- end }}
{{- end }}
