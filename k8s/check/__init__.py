"""Checks of the manifests in k8s/, without a cluster: `make check-k8s`."""
