{{/* What is named for another choice than the one made, and choices that do not go together, as
     plugins/module_utils/description/choices.py refuses them. */}}
{{- define "stalk.choices" -}}
{{- range $rule := .rules.choices }}
{{- $choice := include "stalk.choices.value" (list $.values $rule.of) }}
{{- if and (ne $choice (toString $rule.choice)) (ne (include "stalk.choices.value" (list $.values $rule.named)) (hasKey $rule "usual" | ternary (toString $rule.usual) "")) }}
{{- $facts := dict "choice" $choice "named" $rule.named "what" $rule.what "other" $rule.choice }}
{{- template "stalk.refuse" (dict "run" $ "path" (splitList "." $rule.of) "saying" "named_in_vain" "facts" $facts) }}
{{- end }}
{{- end }}
{{- if and (eq (include "stalk.broker.protocol" .values.broker) "rabbitmq") (eq .values.results.kind "redis") }}
{{- template "stalk.refuse" (dict "run" . "path" (list "results" "kind") "saying" "results_without_redis") }}
{{- end }}
{{- $broker := .values.broker }}
{{- $offered := get .rules.broker.topologies $broker.kind }}
{{- if not (has $broker.topology $offered) }}
{{- $facts := dict "topology" $broker.topology "kind" $broker.kind "offered" (join ", " $offered) }}
{{- template "stalk.refuse" (dict "run" . "path" (list "broker" "topology") "saying" "topology_of_another_kind" "facts" $facts) }}
{{- end }}
{{- $nodes := int64 $broker.kubernetes.replicas }}
{{- if and (ne $broker.topology "single") (not (mod $nodes 2)) }}
{{- $facts := dict "nodes" $nodes "less" (sub $nodes 1) "more" (add $nodes 1) }}
{{- template "stalk.refuse" (dict "run" . "path" (list "broker" "kubernetes" "replicas") "saying" "nodes_even" "facts" $facts) }}
{{- end }}
{{- end }}

{{/* list VALUES "tls.kubernetes.ca" */}}
{{- define "stalk.choices.value" -}}
{{- $value := first . }}
{{- range splitList "." (last .) }}{{ $value = get $value . }}{{ end }}
{{- $value }}
{{- end }}
