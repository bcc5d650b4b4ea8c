#!/bin/sh
# Deploys the bot to Akamai Functions, with all variables of `.env`, and makes the jobs that call the poller.
# A second run updates the same app, and replaces the jobs. deploy/akamai/README.md describes the script.
set -eu
script=deploy/akamai/deploy.sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=deploy/common.sh
. "$root/deploy/common.sh"

usage='usage: deploy/akamai/deploy.sh [--name NAME] [--env FILE] [--no-build]'
manifest=$root/deploy/spin.http.toml
name=proactive-bot env=$root/.env build=yes
while [ $# -gt 0 ]; do
    case $1 in
    --name | --env)
        [ $# -gt 1 ] || fail "$1: a value is missing; $usage"
        if [ "$1" = --name ]; then name=$2; else env=$2; fi
        shift 2
        ;;
    --no-build) build=no && shift ;;
    -h | --help) say "$usage" && exit 0 ;;
    *) fail "$1: unknown option; $usage" ;;
    esac
done
case $name in
'' | *[!A-Za-z0-9_-]*) fail "--name: expected letters, digits, - and _; choose another name" ;;
esac

expect spin "install Spin 4 from https://spinframework.dev/install, then run this again"
spin aka --version >/dev/null 2>&1 ||
    fail "the plugin aka of Spin is missing; run: spin plugins update && spin plugins install aka"
private_folder
open_env "$manifest" "microsoftappid storageconnection pollkey" ""
print_env json >"$work/variables.json"

# list_apps: prints one line for each app: its name, a blank, its id.
list_apps() {
    spin aka app list --verbose >"$work/apps" 2>"$work/errors" || {
        cat "$work/errors" >&2
        fail "spin aka app list failed; log in with: spin aka login (in CI: set SPIN_AKA_ACCESS_TOKEN)"
    }
    sed -n 's/^ *\([^ (]*\) *(\([0-9a-fA-F-]*\)) *$/\1 \2/p' "$work/apps"
}

# id_of_app: the id of the app `name`; empty if the account has no such app.
id_of_app() {
    list_apps >"$work/ids"
    awk -v "name=$name" '$1 == name { print $2 }' "$work/ids"
}

id=$(id_of_app)
# A line that begins with the name, but has no id, has a form that this script cannot read.
if [ -z "$id" ] && awk -F '[^A-Za-z0-9_-]+' -v "name=$name" \
    '{ sub(/^ +/, "") } $1 == name { found = 1 } END { exit !found }' "$work/apps"; then
    fail "spin aka app list names $name in an unknown form; update the plugin with: spin plugins upgrade aka, or report this"
fi
build_components

say "Variables: $names"
if [ -n "$id" ]; then
    say "Updating the app $name ($id)"
    set -- --app-id "$id"
else
    say "Creating the app $name"
    set -- --create-name "$name"
fi
# A file keeps the secrets out of the list of processes.
spin aka deploy --from "$manifest" --no-confirm "$@" --variable "@$work/variables.json" ||
    fail "the deployment failed; read the plugin's message above, then run this again. If it says that the workspace is linked to another app, run: spin aka app unlink --from deploy/spin.http.toml"
if [ -z "$id" ]; then
    id=$(id_of_app)
    [ -n "$id" ] || fail "the app $name is not in the list of apps; wait a minute, then run this again"
fi

# A job can run every five minutes at most. So there are five jobs, which together poll once a minute.
spin aka cron list --app-id "$id" >"$work/jobs" 2>"$work/errors" || {
    cat "$work/errors" >&2
    fail "spin aka cron list failed, and no job was changed; run this again"
}
for job in poll poll-0 poll-1 poll-2 poll-3 poll-4; do
    if tr '|' ' ' <"$work/jobs" | awk -v "job=$job" '$1 == job { found = 1 } END { exit !found }'; then
        spin aka cron delete --app-id "$id" "$job" ||
            fail "the job $job was not deleted; run this again, because other jobs are perhaps missing now"
    fi
done
# The scheduler can send no header, so the poll key is in the path.
key=$(print_env pollkey)
for minute in 0 1 2 3 4; do
    if [ "$minute" = 0 ]; then schedule='*/5 * * * *'; else schedule="$minute-59/5 * * * *"; fi
    spin aka cron create --app-id "$id" --schedule "$schedule" --path-and-query "/internal/poll?key=$key" \
        --name "poll-$minute" ||
        fail "the job poll-$minute was not made; run this again. Until then, scheduled alerts and retries wait"
done

say "Done. The bot responds on https://$id.fwf.app. Tell Azure the address, unless Azure knows it:"
say "deploy/azure/deploy.sh --url https://$id.fwf.app"
