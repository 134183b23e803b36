{{/* Redis behind Sentinel: nodes of which one is the primary, each with a Sentinel beside it. One that is single has none of
     this. */}}

{{- define "stalk.redis.sentinel" -}}
{{- if and (eq (include "stalk.broker.component" .) "redis") (eq .Values.broker.topology "sentinel") }}yes{{ end }}
{{- end }}

{{/* Name of the StatefulSet, and so of the pods and volumes. Those of a single one are not theirs. */}}
{{- define "stalk.redis.name" -}}
{{ .Values.app.name }}-redis{{ if include "stalk.redis.sentinel" . }}-node{{ end }}
{{- end }}

{{/* Each node's name, which is that of its pod and of a Service of its own: an address that stays while the pod is another
     one or away, where a Sentinel would look in vain for a name without one. As JSON. */}}
{{- define "stalk.redis.nodes" -}}
{{- $nodes := list }}
{{- if include "stalk.redis.sentinel" . }}
{{- range $number := until (include "stalk.broker.nodes" . | int) }}
{{- $nodes = append $nodes (printf "%s-%d" (include "stalk.redis.name" $) $number) }}
{{- end }}
{{- end }}
{{- toJson $nodes }}
{{- end }}

{{/* Their hosts, as pods and KEDA's operator reach them, as JSON. */}}
{{- define "stalk.redis.hosts" -}}
{{- $hosts := list }}
{{- range include "stalk.redis.nodes" . | fromJsonArray }}
{{- $hosts = append $hosts (printf "%s.%s.svc" . $.Release.Namespace) }}
{{- end }}
{{- toJson $hosts }}
{{- end }}

{{/* URL of the primary as kombu takes it: each Sentinel's, of one user and database. list ROOT "user:{PASSWORD}" DATABASE */}}
{{- define "stalk.redis.sentinel.url" -}}
{{- $root := index . 0 }}
{{- $user := index . 1 }}
{{- $database := index . 2 }}
{{- $urls := list }}
{{- range include "stalk.redis.hosts" $root | fromJsonArray }}
{{- $urls = append $urls (printf "sentinel://%s@%s:%d/%d" $user . (int64 $root.Values.broker.sentinel_port) $database) }}
{{- end }}
{{- join ";" $urls }}
{{- end }}

{{/* Environment of the containers of a node. */}}
{{- define "stalk.redis.sentinel.env" -}}
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: THIS_NODE, value: "$(POD_NAME).{{ .Release.Namespace }}.svc"}
- {name: NODES, value: {{ include "stalk.redis.hosts" . | fromJsonArray | join " " | quote }}}
- {name: APP, value: {{ .Values.app.name | quote }}}
- {name: REDIS_PORT, value: {{ include "stalk.broker.port" . | quote }}}
- {name: SENTINEL_PORT, value: {{ int64 .Values.broker.sentinel_port | quote }}}
{{- end }}

{{/* users.acl of Sentinel. */}}
{{- define "stalk.redis.sentinel.users" -}}
{{- $rights := .Files.Get "files/redis/rights.yaml" | replace "{app}" .Values.app.name | fromYaml -}}
user default off resetpass
{{- range include "stalk.components" . | fromJsonArray }}
user {{ . }} on #@{{ . }}@ resetkeys resetchannels -@all {{ $rights.sentinel.client }}
{{- end }}
user sentinel on #@sentinel@ resetkeys resetchannels -@all {{ $rights.sentinel.sentinel }}
user operator on #@operator@ resetkeys resetchannels -@all {{ $rights.sentinel.operator }}
{{- end }}
