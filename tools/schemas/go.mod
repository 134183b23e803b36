module stalk/tools/schemas

go 1.26.0

// The first Kubernetes that Chart.yaml takes.
require k8s.io/kubernetes v1.29.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	sigs.k8s.io/gateway-api v1.6.3
)
