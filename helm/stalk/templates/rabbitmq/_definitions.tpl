{{/* Each queue in one pool, the first by alphabet of those that consume it, as plugins/module_utils/description/derive.py
     has it; as JSON. */}}
{{- define "stalk.rabbitmq.queues" -}}
{{- $found := dict }}
{{- $taken := list }}
{{- range $name, $pool := .Values.pools }}
{{- if $pool }}
{{- $queues := list }}
{{- range $pool.queues }}{{ if not (has . $taken) }}{{ $queues = append $queues . }}{{ end }}{{ end }}
{{- $taken = concat $taken $queues }}
{{- if $queues }}{{- $_ := set $found $name $queues }}{{- end }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* A regular expression of these names: `a|b[.]c`. */}}
{{- define "stalk.rabbitmq.pattern" -}}
{{ join "|" . | replace "." "[.]" }}
{{- end }}

{{/* definitions.json: users, rights, queues and policies; `@web@` is where the digest of web's password comes. */}}
{{- define "stalk.rabbitmq.definitions" -}}
{{- $vhost := .Values.app.name }}
{{- $rights := (.Files.Get "files/rabbitmq/rights.yaml" | fromYaml).components }}
{{- $pools := include "stalk.rabbitmq.queues" . | fromJson }}
{{- $every := list }}
{{- range $pools }}{{ $every = concat $every . }}{{ end }}
{{- $users := list }}
{{- $permissions := list }}
{{- range include "stalk.broker.users" . | fromJsonArray }}
{{- $own := get $rights . }}
{{- $names := $own.names | default "^$" | replace "{queues}" (include "stalk.rabbitmq.pattern" $every) }}
{{- $users = append $users (dict "name" . "tags" ($own.tags | default "") "hashing_algorithm" "rabbit_password_hashing_sha256" "password_hash" (include "stalk.broker.has_password" (list $ .) | empty | ternary "" (printf "@%s@" .))) }}
{{- $permissions = append $permissions (dict "vhost" $vhost "user" . "configure" $names "write" $names "read" $names) }}
{{- end }}
{{- $lasting := dict "vhost" $vhost "durable" true "auto_delete" false }}
{{- $plain := merge (dict "internal" false "arguments" dict) $lasting }}
{{- $exchanges := list }}
{{- $queues := list }}
{{- $bindings := list }}
{{- $policies := list }}
{{- range $pool, $own := $pools }}
{{- $policies = append $policies (dict "vhost" $vhost "name" $pool "apply-to" "queues" "priority" 0 "pattern" (printf "^(%s)$" (include "stalk.rabbitmq.pattern" $own)) "definition" (dict
  "delivery-limit" (int64 $.Values.broker.delivery_limit)
  "dead-letter-exchange" "@dead"
  "dead-letter-routing-key" $pool
  "dead-letter-strategy" "at-least-once"
  "overflow" "reject-publish")) }}
{{- $dead := printf "@dead.%s" $pool }}
{{- range append $own $dead }}
{{- $queues = append $queues (merge (dict "name" . "arguments" (dict "x-queue-type" "quorum")) $lasting) }}
{{- end }}
{{- $bindings = append $bindings (dict "vhost" $vhost "source" "@dead" "destination" $dead "destination_type" "queue" "routing_key" $pool "arguments" dict) }}
{{- end }}
{{- /* From 4.0 on a queue drops what was given out 20 times, and there is no further place for these. */}}
{{- $policies = append $policies (dict "vhost" $vhost "name" "@dead" "apply-to" "queues" "priority" 0 "pattern" "^@dead[.]" "definition" (dict "delivery-limit" 1000000000)) }}
{{- range $every }}
{{- $exchanges = append $exchanges (merge (dict "name" . "type" "topic") $plain) }}
{{- $bindings = append $bindings (dict "vhost" $vhost "source" . "destination" . "destination_type" "queue" "routing_key" . "arguments" dict) }}
{{- end }}
{{- $exchanges = append $exchanges (merge (dict "name" "@dead" "type" "direct") $plain) }}
{{- dict
  "vhosts" (list (dict "name" $vhost)) "users" $users "permissions" $permissions "policies" $policies
  "queues" $queues "exchanges" $exchanges "bindings" $bindings
  | toPrettyJson }}
{{- end }}
