#!/bin/sh
# Deploys the bot to Fermyon Cloud, with all variables of `.env`. Writes `.poll.curl`, a file with which a
# scheduler can call the poller. A second run updates the same app. deploy/fermyon-cloud/README.md describes
# the script.
set -eu
script=deploy/fermyon-cloud/deploy.sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=deploy/common.sh
. "$root/deploy/common.sh"

usage='usage: deploy/fermyon-cloud/deploy.sh [--env FILE] [--no-build]'
# Fermyon Cloud refuses a manifest with calls between components. This manifest has none.
manifest=$root/deploy/spin.http.nokick.toml
name=proactive-bot env=$root/.env build=yes
while [ $# -gt 0 ]; do
    case $1 in
    --env)
        [ $# -gt 1 ] || fail "$1: a value is missing; $usage"
        env=$2
        shift 2
        ;;
    --no-build) build=no && shift ;;
    -h | --help) say "$usage" && exit 0 ;;
    *) fail "$1: unknown option; $usage" ;;
    esac
done

expect spin "install Spin 4 from https://spinframework.dev/install, then run this again"
spin cloud --version >/dev/null 2>&1 ||
    fail "the plugin cloud of Spin is missing; run: spin plugins update && spin plugins install cloud"
private_folder
open_env "$manifest" "microsoftappid storageconnection pollkey" off
spin cloud apps list >/dev/null 2>"$work/errors" || {
    cat "$work/errors" >&2
    fail "spin cloud apps list failed; log in with: spin cloud login (in CI: --auth-method token, and SPIN_AUTH_TOKEN)"
}
build_components

say "Variables: $names"
# The plugin takes variables as arguments only, so users of this machine can see them while the plugin runs.
eval "set -- $(print_env options)"
spin cloud deploy --from "$manifest" --link "kv:default=$name" "$@" ||
    fail "the deployment failed; read the plugin's message above, then run this again"

# The plugin does not delete variables that an earlier run has set, so this script deletes such variables.
spin cloud variables list --app "$name" >"$work/kept" || fail "the variables cannot be listed; run this again"
set --
while read -r variable; do
    case " $names " in
    *" $variable "*) ;;
    *) set -- "$@" "$variable" ;;
    esac
done <"$work/kept"
if [ $# -gt 0 ]; then
    say "Deleting the variables that $env does not set: $*"
    spin cloud variables delete "$@" --app "$name" || fail "variables were not deleted; run this again"
fi

spin cloud apps info "$name" >"$work/info" || fail "the address of the app cannot be read; run this again"
url=$(sed -n 's/^URL: *//p' "$work/info")
[ -n "$url" ] || fail "spin cloud apps info prints no URL; update the plugin with: spin plugins upgrade cloud"
poll=$root/.poll.curl
{
    printf 'url = "%s/internal/poll"\nrequest = "POST"\n' "$url"
    print_env header
} >"$work/poll.curl"
chmod 600 "$work/poll.curl"
mv -f "$work/poll.curl" "$poll"

say "Done. The bot responds on $url. Tell Azure the address, unless Azure knows it: deploy/azure/deploy.sh --url $url"
say "Fermyon Cloud has no scheduler. Copy $poll to a machine that always runs, and add to the crontab of that machine:"
say "* * * * * curl -fsS -m 40 -o /dev/null -K $poll"
