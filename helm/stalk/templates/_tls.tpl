{{/* A leaf and its key, with the CA, in the form of cert-manager: ca.crt, tls.crt, tls.key. dict "root" "component" */}}
{{- define "stalk.tls.secret" -}}
{{ .root.Values.app.name }}-{{ .component }}-tls
{{- end }}

{{/* dict "root" "component" ["early"] */}}
{{- define "stalk.tls.volume" -}}
- name: tls
  secret: {secretName: {{ include "stalk.tls.secret" . }}, defaultMode: 0440{{ if .early }}, optional: true{{ end }}}
{{- end }}

{{/* Every leaf of the stack, as JSON: the Secret, its name, its usages, the names under which pods and the KEDA
     operator reach its Service, and whether it is a login. */}}
{{- define "stalk.tls.leaves" -}}
{{- $clients := include "stalk.components" . | fromJsonArray }}
{{- $stores := list }}
{{- if .Values.backup.kubernetes.enabled }}{{- $clients = append $clients "backup" | uniq }}{{- end }}
{{- if eq .Values.broker.kind "external" }}
{{- $clients = without $clients "scaler" }}
{{- else }}
{{- $stores = append $stores (include "stalk.broker.component" .) }}
{{- end }}
{{- if eq .Values.database.kind "embedded" }}{{- $stores = append $stores "postgresql" }}{{- end }}
{{- /* For Prometheus. */}}
{{- if .Values.broker.metrics.enabled }}{{- $clients = append $clients "metrics" }}{{- end }}
{{- $servers := concat $stores (list "web" "flower") }}
{{- $leaves := list }}
{{- range $component := concat $stores $clients | sortAlpha }}
{{- $context := dict "root" $ "component" $component }}
{{- $name := include "stalk.fullname" $context }}
{{- $service := printf "%s.%s" $name $.Release.Namespace }}
{{- $sans := list $name $service (printf "%s.svc" $service) (printf "%s.svc.cluster.local" $service) "localhost" "127.0.0.1" }}
{{- if eq $component "web" }}{{- $sans = append $sans $.Values.web.host | uniq }}{{- end }}
{{- $usages := list }}
{{- if has $component $servers }}{{- $usages = append $usages "server" }}{{- end }}
{{- if has $component $clients }}{{- $usages = append $usages "client" }}{{- end }}
{{- if and (eq $component "rabbitmq") (include "stalk.rabbitmq.clustered" $) }}
{{- /* Its nodes are clients of each other. */}}
{{- $sans = concat $sans (include "stalk.rabbitmq.hosts" $ | fromJsonArray) }}
{{- $usages = append $usages "client" }}
{{- end }}
{{- if and (eq $component "redis") (include "stalk.redis.sentinel" $) }}
{{- /* Its nodes and Sentinels are clients of each other. */}}
{{- $sans = concat $sans (include "stalk.redis.hosts" $ | fromJsonArray) }}
{{- $usages = append $usages "client" }}
{{- end }}
{{- $leaf := dict "secret" (include "stalk.tls.secret" $context) "name" $component "usages" $usages "sans" $sans }}
{{- if and (eq $.Values.broker.login "certificate") (has $component (without $clients "scaler" "metrics" "backup")) }}{{- $_ := set $leaf "logs_in" true }}{{- end }}
{{- $leaves = append $leaves $leaf }}
{{- end }}
{{- toJson $leaves }}
{{- end }}

{{/* What the Job does about them, as JSON: signs them, with its own CA or a given one, or looks at those that were
     given. cert-manager's are none of its business. */}}
{{- define "stalk.tls.plan" -}}
{{- $leaves := include "stalk.tls.leaves" . | fromJsonArray }}
{{- $issuer := .Values.tls.issuer }}
{{- $plan := dict }}
{{- if and (eq $issuer "provided") (not .Values.tls.kubernetes.ca) }}
{{- $_ := set $plan "given" $leaves }}
{{- else if ne $issuer "cert-manager" }}
{{- $own := eq $issuer "stalk" }}
{{- $_ := set $plan "signed" (dict
  "own" $own
  "ca" ($own | ternary (include "stalk.tls.ca" .) .Values.tls.kubernetes.ca)
  "authority" (include "stalk.tls.authority" .)
  "generation" (include "stalk.plain" .Values.tls.kubernetes.generation | int)
  "lifetime" (include "stalk.plain" .Values.tls.lifetime)
  "rotate_before" (include "stalk.plain" .Values.tls.rotate_before)
  "leaves" $leaves) }}
{{- end }}
{{- toJson $plan }}
{{- end }}

{{/* Secret of the stack's own CA, and the CA's name. */}}
{{- define "stalk.tls.ca" -}}
{{ .Values.app.name }}-ca
{{- end }}

{{- define "stalk.tls.authority" -}}
{{ .Values.app.name }} CA
{{- end }}

{{/* `30d` as Go writes a duration, `720h0m0s`: another spelling would differ from what cert-manager keeps. */}}
{{- define "stalk.tls.duration" -}}
{{- $seconds := include "stalk.plain" . | include "stalk.number_meant" | int64 }}
{{- printf "%dh%dm%ds" (div $seconds 3600) (div (mod $seconds 3600) 60) (mod $seconds 60) }}
{{- end }}
