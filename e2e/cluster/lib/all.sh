# shellcheck shell=bash
# Brings in every file of this folder, in the order in which they build on each other.
#
# In: CLUSTER · Out: all functions, KUBE

# shellcheck source=base.sh
source "$CLUSTER/lib/base.sh"
for room in slot process pki nest control image databases node gate policies clean s3 git azure flux environment packages programs parts; do
  # shellcheck source=/dev/null
  source "$CLUSTER/lib/$room.sh"
done
KUBE=$(kube_path)
export KUBE
