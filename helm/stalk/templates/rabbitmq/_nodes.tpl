{{/* The nodes of a cluster of RabbitMQ; one that is single has none of this. */}}

{{- define "stalk.rabbitmq.clustered" -}}
{{- if and (eq .Values.broker.kind "rabbitmq") (eq .Values.broker.topology "cluster") }}yes{{ end }}
{{- end }}

{{/* Nodes have volumes of their own, beside that of a single one: what either holds, the other cannot read. */}}
{{- define "stalk.rabbitmq.statefulset" -}}
{{ .Values.app.name }}-rabbitmq{{ if include "stalk.rabbitmq.clustered" . }}-node{{ end }}
{{- end }}

{{/* The headless Service that gives each node its name. */}}
{{- define "stalk.rabbitmq.nodes" -}}
{{ .Values.app.name }}-rabbitmq-nodes
{{- end }}

{{/* The host of a node, with the dot that long names need; which domain the cluster has is the resolver's to know.
     list ROOT POD */}}
{{- define "stalk.rabbitmq.host" -}}
{{ last . }}.{{ include "stalk.rabbitmq.nodes" (first .) }}.{{ (first .).Release.Namespace }}.svc
{{- end }}

{{/* The hosts of all nodes, as JSON. */}}
{{- define "stalk.rabbitmq.hosts" -}}
{{- $hosts := list }}
{{- if include "stalk.rabbitmq.clustered" . }}
{{- range $number := until (include "stalk.broker.nodes" . | int) }}
{{- $hosts = append $hosts (include "stalk.rabbitmq.host" (list $ (printf "%s-%d" (include "stalk.rabbitmq.statefulset" $) $number))) }}
{{- end }}
{{- end }}
{{- toJson $hosts }}
{{- end }}

{{/* Ports that nodes alone reach, as JSON: where Erlang tells which port a node has, and that one. A single node uses
     the same, on loopback. */}}
{{- define "stalk.rabbitmq.distribution" -}}
{{- $management := int64 .Values.broker.management_port }}
{{- dict "epmd" (add $management 9999) "distribution" (add $management 10000) | toJson }}
{{- end }}

{{/* Ports of the command line, as JSON: what it lists comes to it from every node. */}}
{{- define "stalk.rabbitmq.command_line" -}}
{{- $management := int64 .Values.broker.management_port }}
{{- dict "port" (add $management 9989) "end" (add $management 9998) | toJson }}
{{- end }}

{{/* Environment variables of RabbitMQ and of its command line, beside those of a single node too, as JSON. */}}
{{- define "stalk.rabbitmq.distribution.variables" -}}
{{- if include "stalk.rabbitmq.clustered" . }}
{{- $tls := "-proto_dist inet_tls -ssl_dist_optfile /etc/stalk/rabbitmq/distribution.config" }}
{{- dict
  "RABBITMQ_NODENAME" (printf "%s@%s" .Values.app.name (include "stalk.rabbitmq.host" (list . "$(POD_NAME)")))
  "RABBITMQ_USE_LONGNAME" "true"
  "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS" $tls
  "RABBITMQ_CTL_ERL_ARGS" $tls
  "RABBITMQ_CTL_DIST_PORT_MIN" (include "stalk.rabbitmq.command_line" . | fromJson).port
  "RABBITMQ_CTL_DIST_PORT_MAX" (include "stalk.rabbitmq.command_line" . | fromJson).end
  | toJson }}
{{- else }}
{{- $loopback := "-kernel inet_dist_use_interface {127,0,0,1}" }}
{{- dict
  "RABBITMQ_NODENAME" (printf "%s@localhost" .Values.app.name)
  "ERL_EPMD_ADDRESS" "127.0.0.1"
  "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS" $loopback
  "RABBITMQ_CTL_ERL_ARGS" $loopback
  | toJson }}
{{- end }}
{{- end }}

{{/* Lines of rabbitmq.conf. */}}
{{- define "stalk.rabbitmq.formation" -}}
{{- $hosts := include "stalk.rabbitmq.hosts" . | fromJsonArray -}}
# One without data joins the others, or begins a cluster with the first that it finds; alone it waits.
cluster_formation.peer_discovery_backend = classic_config
{{- range $number, $host := $hosts }}
cluster_formation.classic_config.nodes.{{ add1 $number }} = {{ $.Values.app.name }}@{{ $host }}
{{- end }}
cluster_formation.discovery_retry_limit = 1000000
cluster_formation.discovery_retry_interval = 5000
# Of nodes that lose sight of one another those go on that are more than half.
cluster_partition_handling = pause_minority
# One that says nothing for so many seconds is gone. By Erlang's 60 what a host without power led stood still for as long.
net_ticktime = 15
# Each node has each queue, a new one too.
queue_leader_locator = balanced
quorum_queue.continuous_membership_reconciliation.enabled = true
quorum_queue.continuous_membership_reconciliation.auto_remove = true
quorum_queue.continuous_membership_reconciliation.target_group_size = {{ len $hosts }}
quorum_queue.continuous_membership_reconciliation.interval = 60000
{{- end }}
