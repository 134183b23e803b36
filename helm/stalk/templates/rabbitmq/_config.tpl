{{/* What RabbitMQ reads when it starts. */}}
{{- define "stalk.rabbitmq.config" -}}
rabbitmq.conf: |
  # A change restarts RabbitMQ. What it takes while it runs is in the folder rabbitmq-live.
  listeners.tcp = none
  listeners.ssl.default = {{ include "stalk.broker.port" . }}
  {{- range $listener, $port := include "stalk.rabbitmq.https_ports" . | fromJson }}
  {{ $listener }}.ssl.port = {{ int64 $port }}
  {{ $listener }}.ssl.cacertfile = /etc/stalk/tls/ca.crt
  {{ $listener }}.ssl.certfile = /etc/stalk/tls/tls.crt
  {{ $listener }}.ssl.keyfile = /etc/stalk/tls/tls.key
  {{ $listener }}.ssl.verify = verify_peer
  {{ $listener }}.ssl.fail_if_no_peer_cert = true
  {{ $listener }}.ssl.depth = 5
  {{ $listener }}.ssl.versions.1 = tlsv1.3
  {{- end }}
  {{- if .Values.broker.metrics.enabled }}
  # RabbitMQ 4 tells them in plain text too unless it is told not to.
  prometheus.tcp.listener = none
  {{- end }}
  # TLS for messages is in advanced.config.
  {{- if eq .Values.broker.login "certificate" }}
  auth_mechanisms.1 = EXTERNAL
  ssl_cert_login_from = common_name
  {{- else }}
  auth_mechanisms.1 = PLAIN
  {{- end }}
  tcp_listen_options.keepalive = true

  # Users, rights, queues and policies. With it RabbitMQ makes no user guest.
  load_definitions = /run/stalk/definitions.json

  # What is written before it is sorted into queues is in memory too.
  raft.wal_max_size_bytes = 67108864
  {{- if include "stalk.rabbitmq.clustered" . }}

  {{ include "stalk.rabbitmq.formation" . | nindent 2 | trim }}
  {{- end }}

  log.console = true
  log.console.level = warning
  log.console.use_colors = off
  log.file = false
{{- $clustered := include "stalk.rabbitmq.clustered" . | empty | not }}
{{- range $name := $clustered | ternary (list "advanced.config" "distribution.config") (list "advanced.config") }}
{{ $name }}: |
  {{- $.Files.Get (printf "files/rabbitmq/%s" $name) | replace "{ca}" "/etc/stalk/tls/ca.crt" | replace "{certificate}" "/etc/stalk/tls/tls.crt" | replace "{key}" "/etc/stalk/tls/tls.key" | nindent 2 }}
{{- end }}
enabled_plugins: |
  {{- $plugins := list "rabbitmq_management" }}
  {{- if eq .Values.broker.login "certificate" }}{{- $plugins = append $plugins "rabbitmq_auth_mechanism_ssl" }}{{- end }}
  {{- if .Values.broker.metrics.enabled }}{{- $plugins = append $plugins "rabbitmq_prometheus" }}{{- end }}
  [{{ join ", " $plugins }}].
{{- $start := $clustered | ternary (list "start-node" "join" "follow-cookie" "leave") (list "start") }}
{{- range $name := concat $start (list "definitions" "follow") }}
{{ $name }}: |
  {{- $.Files.Get (printf "files/rabbitmq/%s" $name) | nindent 2 }}
{{- end }}
{{- end }}

{{/* Its listeners with HTTPS, as JSON. */}}
{{- define "stalk.rabbitmq.https_ports" -}}
{{- $ports := dict "management" .Values.broker.management_port }}
{{- with .Values.broker.metrics }}{{ if .enabled }}{{ $_ := set $ports "prometheus" .port }}{{ end }}{{ end }}
{{- toJson $ports }}
{{- end }}

{{/* What a running RabbitMQ takes too. */}}
{{- define "stalk.rabbitmq.live" -}}
{{- $units := (.Files.Get "files/description/rules.yaml" | fromYaml).limits.size_units }}
{{- $memory := include "stalk.bytes" (list (include "stalk.plain" .Values.broker.maxmemory) $units) | int64 }}
{{- $disk := include "stalk.bytes" (list (include "stalk.plain" .Values.broker.disk_free_limit) $units) | int64 }}
{{- $timeout := include "stalk.consumer_timeout" (dict "values" .Values "pools" (include "stalk.pools" . | fromJson)) | int64 | mul 1000 }}
reloadable.conf: |
  vm_memory_high_watermark.{{ if $memory }}absolute = {{ $memory }}{{ else }}relative = 0.4{{ end }}
  disk_free_limit.absolute = {{ $disk }}
  # Milliseconds.
  consumer_timeout = {{ $timeout }}
reloadable.erl: |
  %% reloadable.conf as a running RabbitMQ takes it, certificates, and the end of policies and users that left: who stay are
  %% in Policies and Users.
  vm_memory_monitor:set_vm_memory_high_watermark({{ if $memory }}{absolute, {{ $memory }}}{{ else }}0.4{{ end }}),
  rabbit_disk_monitor:set_disk_free_limit({{ $disk }}),
  application:set_env(rabbit, consumer_timeout, {{ $timeout }}),
  ssl:clear_pem_cache(),
  [rabbit_policy:delete(<<"{{ .Values.app.name }}">>, Name, <<"stalk">>)
   || Policy <- rabbit_policy:list(<<"{{ .Values.app.name }}">>), Name <- [proplists:get_value(name, Policy)],
      not lists:member(Name, Policies)],
  [rabbit_auth_backend_internal:delete_user(Name, <<"stalk">>)
   || User <- rabbit_auth_backend_internal:list_users(), Name <- [proplists:get_value(user, User)],
      not lists:member(Name, Users)],
  ok.
definitions.json: |
  {{- include "stalk.rabbitmq.definitions" . | nindent 2 }}
{{- end }}
