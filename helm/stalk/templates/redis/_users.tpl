{{/* users.acl; `#@web@` is where the digest of web's password comes. */}}
{{- define "stalk.redis.users" -}}
{{- $rights := .Files.Get "files/redis/rights.yaml" | replace "{app}" .Values.app.name | fromYaml -}}
user default {{ $rights.default }}
{{- range include "stalk.components" . | fromJsonArray }}
user {{ . }} on #@{{ . }}@ resetkeys resetchannels -@all {{ get $rights.components . | join " " }}
{{- end }}
{{- if include "stalk.redis.sentinel" . }}
user sentinel on #@sentinel@ resetkeys resetchannels -@all {{ $rights.node.sentinel }}
{{- end }}
user operator on #@operator@ resetkeys resetchannels -@all {{ $rights.operator }}{{ if include "stalk.redis.sentinel" . }} {{ $rights.node.operator }}{{ end }}
{{- end }}
