{{/* A port of RabbitMQ that another one of its own has, as plugins/module_utils/description/ports.py refuses it. */}}
{{- define "stalk.ports" -}}
{{- $broker := .values.broker }}
{{- if eq $broker.kind "rabbitmq" }}
{{- $port := $broker.port | default .rules.broker.ports.rabbitmq | int64 }}
{{- range .rules.broker.management_ports }}
{{- if eq $port (add (int64 $broker.management_port) (int64 .above)) }}
{{- template "stalk.refuse" (dict "run" $ "path" (list "broker" "port") "saying" "port_of_rabbitmq" "facts" (dict "port" $port "what" .what)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
