{{- /* What the pods of both DaemonSets have in common. */}}

{{- /* Takes (list . "engine"). */}}
{{- define "flashcopy.onNodes" -}}
{{- $root := index . 0 }}
{{- $own := index $root.Values (index . 1) -}}
serviceAccountName: {{ include "flashcopy.fullname" $root }}-{{ index . 1 }}
# It asks Kubernetes for nothing.
automountServiceAccountToken: false
enableServiceLinks: false
{{- with include "flashcopy.priorityClassName" (list $root $own.priorityClassName) }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.nodes.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.nodes.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.nodes.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Takes (list . values). */}}
{{- define "flashcopy.roleEnv" -}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: FLASHCOPY_LOG_LEVEL
  value: {{ (index . 0).Values.logLevel }}
# For commands in the pod: kubectl exec ... -- flashcopy pool show
- name: FLASHCOPY_ENDPOINT
  value: unix:///run/flashcopy/engine.sock
{{- with (index . 1).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "flashcopy.roleVolumes" -}}
- name: run
  hostPath: {path: /run/flashcopy, type: DirectoryOrCreate}
- name: dev
  hostPath: {path: /dev, type: Directory}
- name: tmp
  emptyDir: {}
{{- end }}
