{{- define "flashcopy.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* The beginning of every object's name. Room is left for what is put behind it. */}}
{{- define "flashcopy.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "flashcopy.name" .) .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "flashcopy.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "flashcopy.labels" -}}
app.kubernetes.io/name: {{ include "flashcopy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: flashcopy-csi
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* What a role's pods are found by; never changes. Takes (list . "engine"). */}}
{{- define "flashcopy.selector" -}}
app.kubernetes.io/name: {{ include "flashcopy.name" (index . 0) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* The metadata of a pod template. Takes (list . "engine"). */}}
{{- define "flashcopy.podMetadata" -}}
{{- $root := index . 0 }}
{{- $own := index $root.Values (index . 1) }}
{{- /* Selectors find pods by our labels, so ours prevail. None changes with the chart alone: pods stay then. */ -}}
labels: {{- merge (include "flashcopy.selector" . | fromYaml) (dict "app.kubernetes.io/part-of" "flashcopy-csi") $own.podLabels | toYaml | nindent 2 }}
{{- with $own.podAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Takes (list image defaultTag). */}}
{{- define "flashcopy.image" -}}
{{- $image := index . 0 -}}
{{- $image.repository }}:{{ $image.tag | default (index . 1) }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "flashcopy.ownImage" -}}
image: {{ include "flashcopy.image" (list .Values.image .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- /* Takes (list . ownName). */}}
{{- define "flashcopy.priorityClassName" -}}
{{- $root := index . 0 -}}
{{- if index . 1 -}}
{{ index . 1 }}
{{- else if $root.Values.priorityClass.create -}}
{{ $root.Values.priorityClass.name | default (include "flashcopy.fullname" $root) }}
{{- end }}
{{- end }}

{{- define "flashcopy.controllerSecret" -}}
{{- if eq .Values.tls.source "secrets" -}}
{{ .Values.tls.secrets.controller }}
{{- else -}}
{{ include "flashcopy.fullname" . }}-controller-tls
{{- end }}
{{- end }}

{{- define "flashcopy.engineSecret" -}}
{{- if eq .Values.tls.source "secrets" -}}
{{ .Values.tls.secrets.engine }}
{{- else -}}
{{ include "flashcopy.fullname" . }}-engine-tls
{{- end }}
{{- end }}

{{- define "flashcopy.socketDir" -}}
{{ .Values.kubeletDir }}/plugins/csi.flashcopy.dev
{{- end }}

{{- define "flashcopy.hasGroupSnapshots" -}}
{{- $has := .Capabilities.APIVersions.Has "groupsnapshot.storage.k8s.io/v1/VolumeGroupSnapshot" }}
{{- if or (eq .Values.groupSnapshots.enabled "always") (and (eq .Values.groupSnapshots.enabled "auto") $has) -}}
true
{{- end }}
{{- end }}

{{- /* A container of privileged roles: they mount and attach devices. */}}
{{- define "flashcopy.privileged" -}}
securityContext:
  privileged: true
  runAsUser: 0
  readOnlyRootFilesystem: true
{{- end }}

{{- /* Takes (list port startFailures): /healthz and /readyz of a role. */}}
{{- define "flashcopy.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ .start }}
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: {{ .live }}
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}
