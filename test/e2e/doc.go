// Package e2e holds tests against a real Kubernetes. See README.md.
package e2e
