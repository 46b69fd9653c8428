{{- define "tierwall.labels" -}}
app.kubernetes.io/name: tierwall
app.kubernetes.io/part-of: tierwall
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tierwall.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default (printf "v%s" .Chart.AppVersion) }}
{{- end -}}
{{- end }}

{{/*
Whether this release brings a CustomResourceDefinition: "true" or "false". With
crds.install=auto it leaves those alone that someone else brings: an API server of
its own for the group (Calico's), or a definition that another installation owns.
*/}}
{{- define "tierwall.installsCRD" -}}
{{- $mode := .root.Values.crds.install -}}
{{- if ne $mode "auto" -}}
{{- eq $mode "always" -}}
{{- else -}}
{{- $group := .name | splitList "." | rest | join "." -}}
{{- $version := ternary "v3" "v1alpha1" (eq $group "projectcalico.org") -}}
{{- $service := lookup "apiregistration.k8s.io/v1" "APIService" "" (printf "%s.%s" $version $group) -}}
{{- $present := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .name -}}
{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $present -}}
{{- $space := dig "metadata" "annotations" "meta.helm.sh/release-namespace" "" $present -}}
{{- if dig "spec" "service" false $service -}}
false
{{- else if not $present -}}
true
{{- else -}}
{{- and (eq $owner .root.Release.Name) (eq $space .root.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "tierwall.agentLabels" -}}
app.kubernetes.io/name: tierwall
app.kubernetes.io/component: agent
{{- end }}

{{- define "tierwall.controllerLabels" -}}
app.kubernetes.io/name: tierwall
app.kubernetes.io/component: controller
{{- end }}

{{/* The variables by which a pod finds an API server other than the Service. */}}
{{- define "tierwall.apiServer" -}}
{{- if .Values.apiServer.host }}
- {name: KUBERNETES_SERVICE_HOST, value: {{ .Values.apiServer.host | quote }}}
- {name: KUBERNETES_SERVICE_PORT, value: {{ .Values.apiServer.port | quote }}}
{{- end }}
{{- end }}

{{/* A container that may do nothing but compute, as user 65532 of the image. */}}
{{- define "tierwall.confined" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* What is enforced, to read. */}}
{{- define "tierwall.readsPolicies" }}
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch]
- apiGroups: [policy.networking.k8s.io]
  resources: [clusternetworkpolicies, adminnetworkpolicies, baselineadminnetworkpolicies]
  verbs: [get, list, watch]
- apiGroups: [projectcalico.org]
  resources:
  - tiers
  - networkpolicies
  - globalnetworkpolicies
  - networksets
  - globalnetworksets
  - hostendpoints
  - profiles
  # What Calico's own API server asks for, where it serves the group.
  - tier.networkpolicies
  - tier.globalnetworkpolicies
  verbs: [get, list, watch]
{{- end }}

{{/* What is staged, to read: the agent has no use for it. */}}
{{- define "tierwall.readsStaged" }}
- apiGroups: [projectcalico.org]
  resources:
  - stagednetworkpolicies
  - stagedglobalnetworkpolicies
  - stagedkubernetesnetworkpolicies
  - tier.stagednetworkpolicies
  - tier.stagedglobalnetworkpolicies
  verbs: [get, list, watch]
{{- end }}
