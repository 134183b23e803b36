{{/* A kind that comes in another's place finds its volume, and reads nothing of the other's. */}}
{{- define "stalk.redis.config" -}}
redis.conf: |
  # A change restarts Redis. What it takes while it runs is in the included file.
  include /etc/stalk/redis-live/reloadable.conf

  # 0 switches the plaintext listener off.
  port 0
  tls-port {{ include "stalk.broker.port" . }}
  bind * -::*
  tls-auth-clients yes
  tls-protocols "TLSv1.3"
  tcp-keepalive 60
  unixsocket /run/stalk/redis.sock
  unixsocketperm 700

  aclfile /run/stalk/users.acl
  protected-mode yes

  # 0 holds the broker's messages, 1 the results.
  databases 2
  maxmemory-policy noeviction

  dir {{ eq .Values.broker.kind "redis" | ternary "/data" (printf "/data/%s" .Values.broker.kind) }}
  appendonly yes
  save ""

  daemonize no
  logfile ""
  always-show-logo no
  set-proc-title no
{{- $files := list "openssl.cnf" "start" "users" "follow" "ask" "is-ready" }}
{{- if include "stalk.redis.sentinel" . }}
{{- $files = concat $files (list "node" "primary" "views" "ask-sentinel" "leave" "sentinel") }}

  tls-replication yes
  masteruser sentinel
  replica-announce-port {{ include "stalk.broker.port" . }}
  # A primary that the others left takes nothing that they would not have.
  min-replicas-to-write 1
  min-replicas-max-lag 10
{{- end }}
{{- range $name := $files }}
{{ $name }}: |
  {{- $.Files.Get (printf "files/redis/%s" $name) | nindent 2 }}
{{- end }}
{{- end }}
