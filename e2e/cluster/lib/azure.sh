# shellcheck shell=bash
# An Azure blob service: Azurite, in memory, with its well-known test account. Only on demand.
#
# In: DIR, SLOT · Out: azure_missing, azure_alive, azure_up, azure_down

export AZURE_ACCOUNT=devstoreaccount1
# The key that every Azurite has.
export AZURE_KEY=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==

azure_missing() {
  have node || echo "Node.js is not installed"
  [[ -e $(azurite) ]] || echo "Azurite is not installed (e2e/cluster/install --azure)"
}

azurite() { printf '%s' "$CACHE/azurite/node_modules/azurite/dist/src/blob/main.js"; }

azure_alive() { alive azurite; }

azure_down() { stop azurite; }

azure_up() {
  start azurite node "$(azurite)" --silent --disableTelemetry --inMemoryPersistence --skipApiVersionCheck \
    --blobHost 127.0.0.1 --blobPort "$(port azure)"
  wait_for 30 azurite azure_answers
}

# azure_answers: any answer will do: without a signature it is a refusal.
azure_answers() { curl -sS --max-time 5 -o /dev/null "http://127.0.0.1:$(port azure)/$AZURE_ACCOUNT"; }
