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
{{- $management := list }}
{{- range .rules.broker.management_ports }}
{{- $management = append $management (dict "what" .what "port" (add (int64 $broker.management_port) (int64 .above))) }}
{{- end }}
{{- $metrics := list }}
{{- if $broker.metrics.enabled }}
{{- $metrics = append $metrics (dict "what" "broker.metrics.port" "port" (int64 $broker.metrics.port)) }}
{{- end }}
{{- $port := $broker.port | default .rules.broker.ports.rabbitmq | int64 }}
{{- template "stalk.ports.taken" (dict "run" . "path" (list "broker" "port") "port" $port "others" (concat $management $metrics)) }}
{{- range $metrics }}
{{- template "stalk.ports.taken" (dict "run" $ "path" (list "broker" "metrics" "port") "port" .port "others" $management) }}
{{- end }}
{{- end }}
{{- end }}

{{/* dict "run" "path" "port" "others" */}}
{{- define "stalk.ports.taken" -}}
{{- range .others }}
{{- if eq $.port .port }}
{{- template "stalk.refuse" (dict "run" $.run "path" $.path "saying" "port_of_rabbitmq" "facts" (dict "port" $.port "what" .what)) }}
{{- end }}
{{- end }}
{{- end }}
