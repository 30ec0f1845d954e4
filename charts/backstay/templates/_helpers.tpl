{{/* Names, labels, and what the values must agree on. */}}

{{- define "backstay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "backstay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "backstay.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "backstay.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Objects without a namespace carry it in their name: two releases never meet, and a colon is in no other name. */}}
{{- define "backstay.clusterwide" -}}
{{- printf "%s:%s" (include "backstay.namespace" .) (include "backstay.fullname" .) -}}
{{- end -}}

{{- define "backstay.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "backstay.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "backstay.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "backstay.account" . }}
    namespace: {{ include "backstay.namespace" . }}
{{- end -}}

{{/* Labels of the pods. They never change. */}}
{{- define "backstay.selector" -}}
app.kubernetes.io/name: {{ include "backstay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: reconciler
{{- end -}}

{{/* Labels of an object. Given a dictionary with `root`, it adds those in `more`. Ours go before all others. */}}
{{- define "backstay.labels" -}}
{{- $root := default . .root -}}
{{- $ours := include "backstay.ownLabels" $root | fromYaml -}}
{{- merge $ours (default dict .more) $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "backstay.ownLabels" -}}
app.kubernetes.io/name: {{ include "backstay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: backstay
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "backstay.image" -}}
{{- $repository := required "image.repository: say which image to run, such as registry.example.org/backstay (docs/install.md)" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Annotations of the pods. Those of the values go before ours. */}}
{{- define "backstay.podAnnotations" -}}
{{- $ours := dict "kubectl.kubernetes.io/default-container" "backstay" -}}
{{- if .Values.istio.enabled -}}
{{- $_ := set $ours "proxy.istio.io/config" `{"holdApplicationUntilProxyStarts": true}` -}}
{{- if .Values.istio.excludeInboundPorts -}}
{{- $_ := set $ours "traffic.sidecar.istio.io/excludeInboundPorts" (toString .Values.listen.port) -}}
{{- end -}}
{{- end -}}
{{- mergeOverwrite $ours .Values.podAnnotations | toYaml -}}
{{- end -}}

{{/* ssh where the address of the policy repository says so, as in ssh://… and git@host:path; else http. */}}
{{- define "backstay.transport" -}}
{{- if regexMatch "^ssh://|^[^/:]+@[^/:]+:" .Values.policyRepository.url -}}ssh{{- else -}}http{{- end -}}
{{- end -}}

{{/* Port of the OpenTelemetry collector: that of its address, else that of its scheme. */}}
{{- define "backstay.collectorPort" -}}
{{- $url := urlParse .Values.openTelemetry.endpoint -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) -}}
{{- if $port -}}{{ $port }}{{- else if eq $url.scheme "https" -}}443{{- else -}}80{{- end -}}
{{- end -}}

{{/* A security context without the ids that OpenShift chooses itself. */}}
{{- define "backstay.context" -}}
{{- if .openshift -}}
{{- omit .context "runAsUser" "runAsGroup" "fsGroup" "fsGroupChangePolicy" "supplementalGroups" | toYaml -}}
{{- else -}}
{{- toYaml .context -}}
{{- end -}}
{{- end -}}

{{/* Bytes of a quantity such as 4Gi or 500M; nothing for forms that nobody writes, such as 1e9. */}}
{{- define "backstay.bytes" -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" (toString .) -}}
{{- $unit := trimPrefix $number (toString .) -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 0x1p10 "Mi" 0x1p20 "Gi" 0x1p30 "Ti" 0x1p40 "Pi" 0x1p50 -}}
{{- if and $number (hasKey $units $unit) -}}
{{- mulf (float64 $number) (get $units $unit) | printf "%.0f" -}}
{{- end -}}
{{- end -}}

{{/* What a schema cannot say: values that need each other. */}}
{{- define "backstay.check" -}}
{{- $git := .Values.policyRepository -}}
{{- if and (has $git.source (list "git" "both")) (not $git.url) -}}
{{- fail (printf "policyRepository.source is %q, but policyRepository.url is empty" $git.source) -}}
{{- end -}}
{{- range $name, $value := dict "existingSecret" $git.existingSecret "allowedSignersConfigMap" $git.allowedSignersConfigMap "allowedSignersSecret" $git.allowedSignersSecret -}}
{{- if and $value (not $git.url) -}}
{{- fail (printf "policyRepository.%s is set, but policyRepository.url is empty" $name) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "^[a-z+]+://[^/@]*:[^/@]*@" $git.url -}}
{{- fail "policyRepository.url holds a password: put it into a Secret and name that in policyRepository.existingSecret" -}}
{{- end -}}
{{- $size := include "backstay.bytes" .Values.tmp.sizeLimit -}}
{{- $most := dig "limits" "ephemeral-storage" "" (default dict .Values.resources) -}}
{{- $limit := include "backstay.bytes" $most -}}
{{- if and $size $limit (gt (float64 $size) (float64 $limit)) -}}
{{- fail (printf "tmp.sizeLimit is %v, but resources.limits.ephemeral-storage is %v: the pod would be evicted before the folder is full. Raise both" .Values.tmp.sizeLimit $most) -}}
{{- end -}}
{{- if and .Values.hooks.enabled .Values.rbac.create (not .Values.hooks.namespaces) -}}
{{- fail "hooks.enabled needs hooks.namespaces: name the namespaces in which hooks may act, or [\"*\"] for every one" -}}
{{- end -}}
{{- if and (has "*" .Values.hooks.namespaces) (gt (len .Values.hooks.namespaces) 1) -}}
{{- fail "hooks.namespaces: \"*\" stands alone" -}}
{{- end -}}
{{- end -}}
