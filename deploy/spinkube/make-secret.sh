#!/bin/sh
# Makes or replaces the Secret of a bot from `.env`. If the file has KEDA_STORAGECONNECTION, the script also
# makes or replaces a Secret for KEDA. The script prints no value, and gives no value to a command as an
# argument. `--dry-run` only checks the file. deploy/spinkube/README.md describes the script.
set -eu
script=deploy/spinkube/make-secret.sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=deploy/common.sh
. "$root/deploy/common.sh"

usage='usage: deploy/spinkube/make-secret.sh [--namespace NAME] [--env FILE] [--dry-run]'
namespace=proactive-bot env=$root/.env dry_run=no
while [ $# -gt 0 ]; do
    case $1 in
    --namespace | --env)
        [ $# -gt 1 ] || fail "$1: a value is missing; $usage"
        if [ "$1" = --env ]; then env=$2; else namespace=$2; fi
        shift 2
        ;;
    --dry-run) dry_run=yes && shift ;;
    -h | --help) say "$usage" && exit 0 ;;
    *) fail "$1: unknown option; $usage" ;;
    esac
done
case $namespace in
'' | *[!a-z0-9-]* | -* | *-) fail "--namespace: expected lower-case letters, digits and -; choose another name" ;;
esac

# store_secret NAME FORMAT: makes or replaces a Secret with the values that print_env prints in this format.
# For an existing Secret, the script uses `kubectl replace`, because this command deletes the keys that `.env`
# no longer has. `kubectl apply` would keep these keys, and would store a second copy of the values in an
# annotation.
store_secret() {
    found=$(kubectl get secret "$1" --namespace "$namespace" --ignore-not-found --output name) ||
        fail "the Secret $1 cannot be read; ask for the rights get, create and update on secrets in $namespace"
    if [ -n "$found" ]; then verb=replace; else verb=create; fi
    {
        printf '{"apiVersion":"v1","kind":"Secret","type":"Opaque",'
        printf '"metadata":{"name":"%s","namespace":"%s"},"stringData":' "$1" "$namespace"
        print_env "$2"
        printf '}\n'
    } >"$work/secret.json"
    kubectl "$verb" --filename "$work/secret.json" >/dev/null ||
        fail "the Secret $1 was not stored, so the former one is unchanged; read kubectl's message above, then run this again"
}

private_folder
open_env "$root/deploy/spin.http.toml" "microsoftappid storageconnection pollkey" ""
# Two bots with the default names read each other's messages if they share a storage account.
for name in queuename tableprefix; do
    case "$namespace $names " in
    "proactive-bot "* | *" $name "*) ;;
    *) fail "$env: $name is missing, and a bot in another namespace than proactive-bot needs it; add for example: \
SPIN_VARIABLE_QUEUENAME=orders-queue and SPIN_VARIABLE_TABLEPREFIX=ordersbot" ;;
    esac
done
if [ "$dry_run" = yes ]; then
    say "$env is correct. The Secret would have these keys: $names"
    exit 0
fi

expect kubectl "install it from https://kubernetes.io/docs/tasks/tools, then run this again"
context=$(kubectl config current-context) ||
    fail "kubectl has no current cluster; log in to the cluster, or run: kubectl config use-context <name>"
found=$(kubectl get namespace "$namespace" --ignore-not-found --output name) ||
    fail "the cluster of the context $context refused the call or did not answer; log in, or choose another context"
if [ -z "$found" ]; then
    # With --save-config a later `kubectl apply -k` takes over the namespace without a warning.
    kubectl create namespace "$namespace" --save-config >/dev/null ||
        fail "the namespace $namespace was not created; ask for the right to create it, then run this again"
fi
print_env keda >"$work/keda.json"
if [ -s "$work/keda.json" ]; then store_secret proactive-bot-keda keda; fi
store_secret proactive-bot json

say "The Secret proactive-bot in the namespace $namespace (context $context) has these keys: $names"
if [ -s "$work/keda.json" ]; then say "The Secret proactive-bot-keda has KEDA's connection string."; fi
if [ "$verb" = replace ]; then
    say "Pods read the Secret when they start. Run: kubectl rollout restart deployment/proactive-bot --namespace $namespace"
fi
