# shellcheck shell=bash
# An Azure blob service: Azurite, in memory, with its well-known test account.
#
# In: DIR, SLOT · Out: azure_missing, azure_alive, azure_up, azure_down

export AZURE_ACCOUNT=devstoreaccount1
export AZURE_CONTAINER=backstay
# The key that every Azurite has.
export AZURE_KEY=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==

azure_missing() {
  have node || echo "Node.js is not installed"
  [[ -e $(azurite) ]] || echo "Azurite is not installed (e2e/cluster/install, needs npm)"
}

azurite() { printf '%s' "$CACHE/azurite/node_modules/azurite/dist/src/blob/main.js"; }

azure_alive() { alive azurite; }

azure_down() { stop azurite; }

azure_up() {
  start azurite node "$(azurite)" --silent --disableTelemetry --inMemoryPersistence --skipApiVersionCheck \
    --blobHost 127.0.0.1 --blobPort "$(port azure)"
  wait_for 30 azurite azure_answers
  azure_container
}

# azure_answers: any answer will do: without a signature it is a refusal.
azure_answers() { curl -sS --max-time 5 -o /dev/null "http://127.0.0.1:$(port azure)/$AZURE_ACCOUNT"; }

# azure_container: makes the container, with the signature of a Shared Key request.
azure_container() {
  local date key signature
  date=$(date -u '+%a, %d %b %Y %H:%M:%S GMT')
  key=$(base64 -d <<<"$AZURE_KEY" | od -An -v -tx1 | tr -d ' \n')
  signature=$({
    printf 'PUT\n\n\n\n\n\n\n\n\n\n\n\n'
    printf 'x-ms-date:%s\nx-ms-version:2021-08-06\n' "$date"
    printf '/%s/%s/%s\nrestype:container' "$AZURE_ACCOUNT" "$AZURE_ACCOUNT" "$AZURE_CONTAINER"
  } | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64 -w0)
  curl -fsS --max-time 10 -o /dev/null -X PUT -H 'Content-Length: 0' -H "x-ms-date: $date" \
    -H 'x-ms-version: 2021-08-06' -H "Authorization: SharedKey $AZURE_ACCOUNT:$signature" \
    "http://127.0.0.1:$(port azure)/$AZURE_ACCOUNT/$AZURE_CONTAINER?restype=container"
}
