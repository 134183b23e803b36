{{/* A Flower that anybody could enter, or nobody, as plugins/module_utils/description/flower.py refuses it. */}}
{{- define "stalk.flower" -}}
{{- $auth := .values.flower.auth }}
{{- if .values.flower.enabled }}
{{- if not .values.web.enabled }}
{{- template "stalk.refuse" (dict "run" . "path" (list "flower" "enabled") "saying" "flower_unreachable") }}
{{- end }}
{{- if include "stalk.variables.of_stalk" (list . $auth.secret) }}
{{- template "stalk.refuse" (dict "run" . "path" (list "flower" "auth" "secret") "saying" "flower_secret_shared" "facts" (dict "name" $auth.secret)) }}
{{- end }}
{{- if eq $auth.kind "oauth" }}
{{- $saying := empty $auth.emails | ternary "flower_open" (include "stalk.flower.misread" . | empty | ternary "" "flower_pattern") }}
{{- if $saying }}{{ template "stalk.refuse" (dict "run" . "path" (list "flower" "auth" "emails") "saying" $saying) }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether the emails are something else than addresses or all of one domain. */}}
{{- define "stalk.flower.misread" -}}
{{- $emails := .values.flower.auth.emails }}
{{- if not (regexMatch (printf "^(%s)$" .rules.flower.domain) $emails) }}
{{- range splitList "|" $emails }}{{ if not (regexMatch (printf "^(%s)$" $.rules.flower.address) .) }}yes{{ end }}{{ end }}
{{- end }}
{{- end }}
