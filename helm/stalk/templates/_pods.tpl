{{/* `kubernetes:` of all, of the component, of the pool: maps merge, lists replace. list root ... -> JSON */}}
{{- define "stalk.options" -}}
{{- $options := deepCopy (first .).Values.kubernetes }}
{{- range rest . }}
{{- $options = mergeOverwrite $options (deepCopy (. | default dict)) }}
{{- end }}
{{- toRawJson $options }}
{{- end }}

{{/* Of a Deployment of the app, which stands still while a backup comes back. list ROOT REPLICAS */}}
{{- define "stalk.replicas" -}}
{{ include "stalk.restoring" (first .) | empty | ternary (int64 (last .)) 0 }}
{{- end }}

{{/* A Deployment's strategy. The `rollingUpdate` of the defaults is for that type alone, and invalid beside another. */}}
{{- define "stalk.strategy" -}}
{{- eq (.type | default "RollingUpdate") "RollingUpdate" | ternary . (omit . "rollingUpdate") | toYaml }}
{{- end }}

{{/* metadata of a pod, without what changes although the pod does not. dict "root" "component" ["pool"] "options" "digests" */}}
{{- define "stalk.pod.metadata" -}}
labels:
  {{- include "stalk.labels.with" (list . .options.labels) | nindent 2 }}
{{- with merge (dict) (.digests | default dict) .options.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Who runs the pod, and where. dict "root" "component" ["pool"] "options" ["account" "token"] */}}
{{- define "stalk.pod.spec" -}}
serviceAccountName: {{ .account | default .root.Values.app.name | quote }}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
securityContext:
  {{- merge (dict) .options.podSecurityContext (dict "runAsNonRoot" true "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault")) | toYaml | nindent 2 }}
{{- with .options.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .options.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .options.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .options.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .options.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .spread }}
{{- $selector := dict "matchLabels" (include "stalk.selector" . | fromYaml) }}
topologySpreadConstraints:
{{- range .options.topologySpreadConstraints | default (list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway")) }}
  - {{ merge (dict) . (dict "labelSelector" $selector) | toYaml | nindent 4 | trim }}
{{- end }}
{{- end }}
{{- end }}

{{/* How often and how long a Job is tried whose container of that name ends with 1 where it refuses. */}}
{{- define "stalk.job.retries" -}}
backoffLimit: 3
activeDeadlineSeconds: 300
# What is refused waits for a person.
podFailurePolicy:
  rules:
    - {action: FailJob, onExitCodes: {containerName: {{ . }}, operator: In, values: [1]}}
{{- end }}

{{/* What runs before a Job's container, and what runs beside it and ends with it: an init container that restarts
     (kubernetes.io/docs/concepts/workloads/pods/sidecar-containers). dict "options" */}}
{{- define "stalk.job.initContainers" -}}
{{- $beside := list }}
{{- range .options.sidecars }}{{ $beside = append $beside (merge (dict "restartPolicy" "Always") .) }}{{ end }}
{{- with concat (.options.initContainers | default list) $beside -}}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "stalk.container.securityContext" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "stalk.container.resources" -}}
{{- with . -}}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The claim of a StatefulSet; what it holds outlives the release. dict "context" "storage" */}}
{{- define "stalk.claim" -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: data
    labels:
      {{- include "stalk.selector" .context | nindent 6 }}
  spec:
    {{- include "stalk.claim.spec" .storage | nindent 4 }}
{{- end }}

{{- define "stalk.claim.spec" -}}
accessModes: [ReadWriteOnce]
{{- with .storageClassName }}
storageClassName: {{ . | quote }}
{{- end }}
resources: {requests: {storage: {{ .size }}}}
{{- end }}
