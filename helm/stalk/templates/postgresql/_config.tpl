{{- define "stalk.postgresql.config" -}}
{{- $app := .Values.app.name -}}
postgresql.conf: |
  listen_addresses = '*'
  unix_socket_directories = '/run/stalk'
  max_connections = {{ include "stalk.postgresql.connections" . }}
  password_encryption = 'scram-sha-256'
  ssl = on
  ssl_min_protocol_version = 'TLSv1.3'
  ssl_ca_file = '/etc/stalk/tls/ca.crt'
  ssl_cert_file = '/etc/stalk/tls/tls.crt'
  ssl_key_file = '/etc/stalk/tls/tls.key'
  # /dev/shm of a pod has 64 MiB.
  dynamic_shared_memory_type = mmap
  timezone = 'UTC'
  log_timezone = 'UTC'
pg_hba.conf: |
  # Whoever no line names is refused.
  # TYPE   DATABASE  USER  ADDRESS  METHOD
  local    all       postgres       peer map=operators
  hostssl  "{{ $app }}"  "{{ $app }}"  all  scram-sha-256  clientcert=verify-ca
pg_ident.conf: |
  # MAP      SYSTEM-USER  DATABASE-USER
  operators  /^.*$        postgres
start: |
  {{- .Files.Get "files/postgresql/start" | nindent 2 }}
{{- end }}

{{/* Two for each process, greenlet and thread of the stack, as a worker's process keeps its leases by one of its own, and
     50 for people; at least 200 and in whole hundreds, as a change restarts PostgreSQL. */}}
{{- define "stalk.postgresql.connections" -}}
{{- $wanted := add 50 (mul 2 (int64 .Values.web.workers) (int64 .Values.web.threads) (int64 .Values.web.kubernetes.replicas)) }}
{{- range include "stalk.pools" . | fromJson }}
{{- $workers := .scaled | ternary .scale.max .kubernetes.replicas | int64 | add 1 }}
{{- $wanted = add $wanted (mul 2 $workers (eq (toString .concurrency) "auto" | ternary 64 .concurrency | int64)) }}
{{- end }}
{{- max 200 (mul 100 (div (add $wanted 99) 100)) }}
{{- end }}
