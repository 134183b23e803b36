{{/* Scalers that cannot scale, and fixed numbers of workers beside them, as plugins/module_utils/description/scale.py
     refuses them. */}}
{{- define "stalk.scale" -}}
{{- $scaled := 0 }}
{{- $uncounted := "" }}
{{- range $name, $pool := .pools }}
{{- if not (kindIs "invalid" $pool.scale.max) }}
{{- $scaled = add1 $scaled }}
{{- if eq $pool.scale.provider "keda" }}{{ $uncounted = $.values.broker.management_url | empty | ternary "yes" "" }}{{ end }}
{{- template "stalk.scale.pool" (dict "run" $ "name" $name "scale" $pool.scale "own" $pool.own) }}
{{- end }}
{{- end }}
{{- with .values.broker }}
{{- if and $uncounted (eq .kind "external") (eq .external "rabbitmq") }}
{{- template "stalk.refuse" (dict "run" $ "path" (list "broker" "management_url") "saying" "scale_uncounted") }}
{{- end }}
{{- end }}
{{- $replicas := .values.pool_defaults.kubernetes.replicas }}
{{- $usual := .schema.properties.pool_defaults.properties.kubernetes.properties.replicas.default }}
{{- if and $scaled (eq (int $scaled) (len .pools)) (ne (int64 $replicas) (int64 $usual)) }}
{{- template "stalk.refuse" (dict "run" . "path" (list "pool_defaults" "kubernetes" "replicas") "saying" "replicas_scaled_everywhere" "facts" (dict "replicas" $replicas)) }}
{{- end }}
{{- end }}

{{/* dict "run" "name" "scale" "own" */}}
{{- define "stalk.scale.pool" -}}
{{- $own := .own.scale | default dict }}
{{- $replicas := (.own.kubernetes | default dict).replicas }}
{{- $facts := dict "pool" .name "min" .scale.min "max" .scale.max "replicas" $replicas }}
{{- $here := list "pools" .name "scale" "min" }}
{{- $defaults := list "pool_defaults" "scale" "min" }}
{{- if gt (int64 .scale.min) (int64 .scale.max) }}
{{- $path := or (hasKey $own "min") (hasKey $own "max") | ternary $here $defaults }}
{{- template "stalk.refuse" (dict "run" .run "path" $path "saying" "scale_reversed" "facts" $facts) }}
{{- end }}
{{- if and (eq (int64 .scale.min) 0) (eq .scale.provider "hpa") }}
{{- $path := or (hasKey $own "min") (hasKey $own "provider") | ternary $here $defaults }}
{{- template "stalk.refuse" (dict "run" .run "path" $path "saying" "scale_to_none" "facts" $facts) }}
{{- end }}
{{- if not (kindIs "invalid" $replicas) }}
{{- template "stalk.refuse" (dict "run" .run "path" (list "pools" .name "kubernetes" "replicas") "saying" "replicas_scaled" "facts" $facts) }}
{{- end }}
{{- end }}
