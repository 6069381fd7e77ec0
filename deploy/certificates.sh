#!/usr/bin/env bash
# Writes the two Secrets with the certificates by which controller and engines know one another, as YAML:
#
#   deploy/certificates.sh | kubectl apply -f -
#   deploy/certificates.sh --namespace storage --days 365 | kubectl apply -f -
#
# Run again, it makes new ones, of a new CA. The roles read them within two minutes, without a restart; until both have
# done so, calls between them wait. The CA's key is not kept: nothing else can be issued by it.
set -euo pipefail

namespace=flashcopy-system
days=1825
while (($# > 0)); do
  case $1 in
    --namespace) namespace=${2:?"--namespace needs a name"} ;;
    --days) days=${2:?"--days needs a number"} ;;
    *)
      echo "unknown option $1; there are --namespace NAME and --days NUMBER" >&2
      exit 2
      ;;
  esac
  shift 2
done

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
umask 077

key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
openssl req -x509 "${key[@]}" -keyout ca.key -out ca.crt -subj /CN=flashcopy-csi -days "$days" 2>/dev/null

# issue ROLE DNS-NAME
issue() {
  openssl req -new "${key[@]}" -keyout "$1.key" -out "$1.csr" -subj "/CN=$2" -addext "subjectAltName=DNS:$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -copy_extensions copy -days "$days" -out "$1.crt" 2>/dev/null
  cat <<EOF
---
apiVersion: v1
kind: Secret
metadata:
  name: flashcopy-csi-$1-tls
  namespace: $namespace
type: kubernetes.io/tls
data:
  ca.crt: $(base64 -w 0 ca.crt)
  tls.crt: $(base64 -w 0 "$1.crt")
  tls.key: $(base64 -w 0 "$1.key")
EOF
}

issue controller controller.flashcopy.dev
issue engine '*.engine.flashcopy.dev'
