{{/* A value of another kind than the schema's `type`. */}}
{{- define "stalk.schema.say.kind" -}}
{{- $facts := include "stalk.schema.facts" . | fromJson }}
{{- $_ := set $facts "shown" ($facts.shown | replace "this text" "text") }}
{{- $kind := include "stalk.schema.kind" .value }}
{{- $number := include "stalk.number_meant" .value }}
{{- $saying := "wrong_kind" }}
{{- if eq $kind "null" }}{{ $saying = "empty" }}
{{- else if and $number (has "integer" (splitList " " $facts.accepted)) }}
{{- $saying = "number_in_text" }}
{{- $_ := set $facts "number" $number }}
{{- else if and (eq $facts.accepted "boolean") (eq $kind "string") (has (lower .value) (list "true" "false" "yes" "no")) }}
{{- $saying = "boolean_in_text" }}
{{- $_ := set $facts "boolean" (has (lower .value) (list "true" "yes")) }}
{{- else if and (hasPrefix "string" $facts.accepted) (has $kind (list "integer" "number" "boolean")) }}
{{- $saying = "text_without_quotes" }}
{{- else if and (eq $facts.accepted "array") (hasPrefix "\"" $facts.shown) (regexMatch "^[A-Za-z0-9_][A-Za-z0-9_.:, -]*$" (toString .value)) }}
{{- $saying = "list_in_text" }}
{{- $_ := set $facts "items" (regexSplit "[,\\s]+" (trimAll ", " .value) -1 | join ", ") }}
{{- end }}
{{- template "stalk.refuse" (dict "run" .run "path" .path "saying" $saying "facts" $facts) }}
{{- end }}

{{/* The seconds or the number that a text such as "30m" or "4" means. */}}
{{- define "stalk.number_meant" -}}
{{- if and (kindIs "string" .) (regexMatch "^\\s*[0-9]{1,9}\\s*[smhdw]?\\s*$" .) }}
{{- $unit := regexFind "[smhdw]" . | default "s" }}
{{- mul (regexFind "[0-9]+" . | atoi) (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400 "w" 604800) $unit) }}
{{- end }}
{{- end }}
