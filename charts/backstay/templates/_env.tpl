{{/* The environment of `backstay run`. */}}

{{- define "backstay.env" -}}
{{- $git := .Values.policyRepository -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: BACKSTAY_NAMESPACE
  value: {{ include "backstay.namespace" . | quote }}
- name: BACKSTAY_CLUSTER_NAME
  value: {{ required "clusterName: give the cluster a name; its snapshots are filed under it (docs/install.md)" .Values.clusterName | quote }}
- name: BACKSTAY_LISTEN
  value: {{ printf "%s:%d" .Values.listen.address (int .Values.listen.port) | quote }}
- name: BACKSTAY_LOG
  value: {{ .Values.log.filter | quote }}
- name: BACKSTAY_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
- name: TMPDIR
  value: /tmp
- name: XDG_CACHE_HOME
  value: /tmp/cache
- name: XDG_STATE_HOME
  value: /tmp/state
{{- if .Values.restore.enabled }}
- name: BACKSTAY_RESTORE
  value: "true"
{{- end }}
{{- with $git.source }}
- name: BACKSTAY_POLICY_SOURCE
  value: {{ . }}
{{- end }}
{{- if $git.url }}
{{ include "backstay.gitEnv" . }}
{{- end }}
{{- with .Values.identity }}
{{- if .existingSecret }}
- name: BACKSTAY_IDENTITY
  value: /etc/backstay/identity/{{ join ":/etc/backstay/identity/" .keys }}
{{- end }}
{{- end }}
{{- if .Values.webhook.existingSecret }}
- name: BACKSTAY_WEBHOOK_SECRET
  value: /etc/backstay/webhook/secret
{{- end }}
{{- if .Values.notify.existingSecret }}
- name: BACKSTAY_NOTIFY
  value: /etc/backstay/notify/{{ .Values.notify.key }}
{{- end }}
{{- with .Values.openTelemetry.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "backstay.gitEnv" -}}
{{- $git := .Values.policyRepository -}}
- name: BACKSTAY_POLICY_REPO
  value: {{ $git.url | quote }}
- name: BACKSTAY_INTERVAL
  value: {{ $git.interval | quote }}
{{- with $git.ref }}
- name: BACKSTAY_POLICY_REF
  value: {{ . | quote }}
{{- end }}
{{- with $git.path }}
- name: BACKSTAY_POLICY_PATH
  value: {{ . | quote }}
{{- end }}
{{- if or $git.allowedSignersConfigMap $git.allowedSignersSecret }}
- name: BACKSTAY_ALLOWED_SIGNERS
  value: /etc/backstay/signers
{{- end }}
{{- if $git.existingSecret }}
{{- if eq (include "backstay.transport" .) "ssh" }}
- name: BACKSTAY_GIT_SSH_KEY
  value: /etc/backstay/git/identity
- name: BACKSTAY_GIT_KNOWN_HOSTS
  value: /etc/backstay/git/known_hosts
{{ include "backstay.secretEnv" (dict "name" "BACKSTAY_GIT_SSH_PASSPHRASE" "secret" $git.existingSecret "key" "password") }}
{{- else }}
{{ include "backstay.secretEnv" (dict "name" "BACKSTAY_GIT_USERNAME" "secret" $git.existingSecret "key" "username") }}
{{ include "backstay.secretEnv" (dict "name" "BACKSTAY_GIT_PASSWORD" "secret" $git.existingSecret "key" "password") }}
{{ include "backstay.secretEnv" (dict "name" "BACKSTAY_GIT_BEARER_TOKEN" "secret" $git.existingSecret "key" "bearerToken") }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "backstay.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
      optional: true
{{- end -}}
