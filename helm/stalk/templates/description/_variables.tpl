{{/* Variables that Stalk sets itself, and secrets that are not the app's, as plugins/module_utils/description/variables.py
     refuses them. */}}
{{- define "stalk.variables" -}}
{{- $external := eq .values.database.kind "external" }}
{{- range .variables }}
{{- template "stalk.variables.name" (dict "run" $ "path" .path "name" .name "external" $external) }}
{{- end }}
{{- range $index, $name := .values.app.secrets }}
{{- template "stalk.variables.secret" (dict "run" $ "path" (list "app" "secrets" $index) "name" $name "external" $external) }}
{{- end }}
{{- if $external }}{{ template "stalk.variables.encryption" . }}{{ end }}
{{- end }}

{{/* dict "run" "path" "name" "external" */}}
{{- define "stalk.variables.name" -}}
{{- $rules := .run.rules.variables }}
{{- $of_libpq := has .name $rules.libpq }}
{{- $problem := dict "run" .run "path" .path "saying" "" }}
{{- if eq .name "REMAP_SIGTERM" }}{{ $_ := set $problem "saying" "drops_tasks" }}
{{- else if and (hasKey $rules.set_by_stalk .name) (not (and .external $of_libpq)) }}
{{- $key := get $rules.set_by_stalk .name }}
{{- $_ := set $problem "saying" (empty $key | ternary "variable_of_stalk_alone" "variable_of_stalk") }}
{{- $_ := set $problem "facts" (dict "key" $key) }}
{{- $_ := set $problem "uses" ($of_libpq | ternary (list (list "database" "kind")) list) }}
{{- else if has .name .run.values.app.secrets }}{{ $_ := set $problem "saying" "variable_and_secret" }}
{{- end }}
{{- if $problem.saying }}{{ template "stalk.refuse" $problem }}{{ end }}
{{- end }}

{{/* A secret that the app gets from Stalk anyway, or must not get. dict "run" "path" "name" "external" */}}
{{- define "stalk.variables.secret" -}}
{{- $rules := .run.rules.variables }}
{{- $of_libpq := has .name $rules.libpq }}
{{- $saying := "" }}
{{- if or (eq .name "DJANGO_SECRET_KEY") (and .external (eq .name "DATABASE_URL")) }}
{{- else if eq .name "DATABASE_URL" }}{{ $saying = "secret_database_made" }}
{{- else if and .external $of_libpq }}{{ $saying = "secret_of_libpq" }}
{{- else if hasKey $rules.set_by_stalk .name }}{{ $saying = "secret_of_stalk" }}
{{- else if or (eq .name .run.values.flower.auth.secret) (include "stalk.variables.for_stalk" (list .run .name)) }}{{ $saying = "secret_generated" }}
{{- end }}
{{- if $saying }}
{{- $uses := $of_libpq | ternary (list (list "database" "kind")) list }}
{{- template "stalk.refuse" (dict "run" .run "path" .path "saying" $saying "facts" (dict "name" .name) "uses" $uses) }}
{{- end }}
{{- end }}

{{/* Whether Stalk sets what is named so, or makes it for itself. list run name */}}
{{- define "stalk.variables.of_stalk" -}}
{{- if or (hasKey (first .).rules.variables.set_by_stalk (last .)) (include "stalk.variables.for_stalk" .) }}yes{{ end }}
{{- end }}

{{/* Whether Stalk makes the secret for itself. list run name */}}
{{- define "stalk.variables.for_stalk" -}}
{{- if regexMatch (printf "^(%s)$" (first .).rules.variables.generated) (last .) }}yes{{ end }}
{{- end }}

{{/* libpq takes plain text when nothing forbids it. */}}
{{- define "stalk.variables.encryption" -}}
{{- $encrypted := .rules.variables.encrypted }}
{{- range .variables }}
{{- if and (eq .name "PGSSLMODE") (not (kindIs "invalid" .value)) (not (has .value $encrypted)) }}
{{- $facts := dict "encrypted" (join ", " $encrypted) }}
{{- template "stalk.refuse" (dict "run" $ "path" .path "saying" "plain_text_database" "facts" $facts) }}
{{- end }}
{{- end }}
{{- $stated := .values.app.env }}
{{- range $name, $absent := dict "PGSSLCERT" "PGSSLKEY" "PGSSLKEY" "PGSSLCERT" }}
{{- if and (not (kindIs "invalid" (index $stated $name))) (kindIs "invalid" (index $stated $absent)) }}
{{- template "stalk.refuse" (dict "run" $ "path" (list "app" "env" $name) "saying" "certificate_alone" "facts" (dict "absent" $absent)) }}
{{- end }}
{{- end }}
{{- end }}
