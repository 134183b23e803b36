{{/* Queues into which messages go and stay, queues that nothing fills, and names that are not to be had, as
     plugins/module_utils/description/queues.py refuses them. */}}
{{- define "stalk.queues" -}}
{{- $consumed := dict }}
{{- range .pools }}{{ range .queues }}{{ $_ := set $consumed . true }}{{ end }}{{ end }}
{{- $sent := dict }}
{{- template "stalk.queues.targets" . }}
{{- range $target := .targets }}
{{- $_ := set $sent $target.queue true }}
{{- if not (hasKey $consumed $target.queue) }}
{{- template "stalk.queues.unconsumed" (dict "run" $ "queue" $target.queue "path" $target.path "consumed" (keys $consumed)) }}
{{- end }}
{{- end }}
{{- range $name, $pool := .pools }}
{{- range $index, $queue := $pool.queues }}
{{- if not (hasKey $sent $queue) }}
{{- template "stalk.queues.unfilled" (dict "run" $ "pool" $name "queues" $pool.queues "index" $index "sent" $sent) }}
{{- end }}
{{- if and (eq (include "stalk.broker.protocol" $.values.broker) "rabbitmq") (regexMatch $.rules.queues.reserved $queue) }}
{{- template "stalk.refuse" (dict "run" $ "path" (list "pools" $name "queues" $index) "saying" "queue_reserved" "facts" (dict "queue" (include "stalk.quoted" $queue))) }}
{{- end }}
{{- end }}
{{- end }}
{{- if not $consumed }}{{ template "stalk.refuse" (dict "run" . "path" (list "pools") "saying" "queues_none") }}{{ end }}
{{- end }}

{{/* Gives the run each place that sends to a queue: its path and the queue. */}}
{{- define "stalk.queues.targets" -}}
{{- $app := .values.app }}
{{- $targets := list (dict "path" (list "app" "default_queue") "queue" $app.default_queue) }}
{{- range $task, $queue := $app.routes }}
{{- if not (kindIs "invalid" $queue) }}{{ $targets = append $targets (dict "path" (list "app" "routes" $task) "queue" $queue) }}{{ end }}
{{- end }}
{{- range $index, $queue := $app.queues }}
{{- $targets = append $targets (dict "path" (list "app" "queues" $index) "queue" $queue) }}
{{- end }}
{{- $_ := set . "targets" $targets }}
{{- end }}

{{/* dict "run" "queue" "path" "consumed" */}}
{{- define "stalk.queues.unconsumed" -}}
{{- $guess := include "stalk.near" (dict "word" .queue "words" .consumed) }}
{{- $remedy := get .run.sayings.remedies (empty $guess | ternary "consume" "guess") }}
{{- $facts := dict
  "queue" (include "stalk.quoted" .queue)
  "remedy" (include "stalk.said" (dict "text" $remedy "facts" (dict "guess" $guess))) }}
{{- template "stalk.refuse" (dict "run" .run "path" .path "saying" "queue_unconsumed" "facts" $facts) }}
{{- end }}

{{/* dict "run" "pool" "queues" "index" "sent" */}}
{{- define "stalk.queues.unfilled" -}}
{{- $remedy := "remove_pool" }}
{{- range .queues }}{{ if hasKey $.sent . }}{{ $remedy = "remove" }}{{ end }}{{ end }}
{{- $facts := dict
  "queue" (include "stalk.quoted" (index .queues .index))
  "way_out" (include "stalk.said" (dict "text" (get .run.sayings.remedies $remedy) "facts" (dict "pool" .pool))) }}
{{- template "stalk.refuse" (dict "run" .run "path" (list "pools" .pool "queues" .index) "saying" "queue_unfilled" "facts" $facts) }}
{{- end }}
