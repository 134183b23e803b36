{{/* A port of the broker that another one of its own has, as plugins/module_utils/description/ports.py refuses it. */}}
{{- define "stalk.ports" -}}
{{- $broker := .values.broker }}
{{- if eq $broker.topology "sentinel" }}
{{- $port := $broker.port | default .rules.broker.ports.redis | int64 }}
{{- if eq $port (int64 $broker.sentinel_port) }}
{{- template "stalk.refuse" (dict "run" $ "path" (list "broker" "sentinel_port") "saying" "port_of_sentinel" "facts" (dict "port" $port)) }}
{{- end }}
{{- end }}
{{- if eq $broker.kind "rabbitmq" }}
{{- $port := $broker.port | default .rules.broker.ports.rabbitmq | int64 }}
{{- range .rules.broker.management_ports }}
{{- if eq $port (add (int64 $broker.management_port) (int64 .above)) }}
{{- template "stalk.refuse" (dict "run" $ "path" (list "broker" "port") "saying" "port_of_rabbitmq" "facts" (dict "port" $port "what" .what)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
