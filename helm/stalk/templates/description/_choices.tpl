{{/* What is named for another choice than the one made, as plugins/module_utils/description/choices.py refuses it. */}}
{{- define "stalk.choices" -}}
{{- range $rule := .rules.choices }}
{{- $choice := include "stalk.choices.value" (list $.values $rule.of) }}
{{- if and (ne $choice $rule.choice) (include "stalk.choices.value" (list $.values $rule.named)) }}
{{- $facts := dict "choice" $choice "named" $rule.named "what" $rule.what "other" $rule.choice }}
{{- template "stalk.refuse" (dict "run" $ "path" (splitList "." $rule.of) "saying" "named_in_vain" "facts" $facts) }}
{{- end }}
{{- end }}
{{- end }}

{{/* list VALUES "tls.kubernetes.ca" */}}
{{- define "stalk.choices.value" -}}
{{- $value := first . }}
{{- range splitList "." (last .) }}{{ $value = get $value . }}{{ end }}
{{- $value }}
{{- end }}
