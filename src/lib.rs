//! Backstay keeps a Kubernetes cluster restorable from Git.
