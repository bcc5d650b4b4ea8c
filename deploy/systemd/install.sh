#!/bin/sh
# Installs the bot as a service of systemd, with all variables of `.env`, and starts the service. A second run
# updates the service. The script needs root. If the environment variable DESTDIR names a folder, the script
# only writes the files below this folder. deploy/systemd/README.md describes the script.
set -eu
script=deploy/systemd/install.sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=deploy/common.sh
. "$root/deploy/common.sh"

usage='usage: deploy/systemd/install.sh [--env FILE] [--listen ADDRESS:PORT]'
manifest=$root/deploy/spin.cron.toml
# This script runs as root, so it builds nothing.
env=$root/.env build=no listen=127.0.0.1:3000
while [ $# -gt 0 ]; do
    case $1 in
    --env | --listen)
        [ $# -gt 1 ] || fail "$1: a value is missing; $usage"
        if [ "$1" = --env ]; then env=$2; else listen=$2; fi
        shift 2
        ;;
    -h | --help) say "$usage" && exit 0 ;;
    *) fail "$1: unknown option; $usage" ;;
    esac
done
case $listen in
*[!0-9A-Fa-f.:]* | *[!0-9]) fail "--listen: expected an address and a port, e.g. 127.0.0.1:3000; correct it" ;;
*:*) ;;
*) fail "--listen: expected an address and a port, e.g. 127.0.0.1:3000; correct it" ;;
esac

destdir=${DESTDIR:-}
library=/usr/local/lib/proactive-bot
if [ -z "$destdir" ]; then
    [ "$(id -u)" = 0 ] || fail "root is needed to install a service; run: sudo $script"
    expect systemctl "this recipe needs systemd 247 or newer"
    expect curl "install it with your package manager, then run this again"
fi
expect spin "install Spin 4 from https://spinframework.dev/install into /usr/local/bin, then run this again"
spin=$(command -v spin)
if [ -z "$destdir" ]; then
    case $spin in
    /home/* | /root/* | /tmp/*)
        fail "$spin: the service cannot read this folder; run: install -m 755 $spin /usr/local/bin/spin"
        ;;
    esac
fi
version=$(spin --version)
case $version in
'spin 3.'[4-9]* | 'spin 3.'[1-9][0-9]* | 'spin '[4-9].* | 'spin '[1-9][0-9]*) ;;
*) fail "spin: expected version 3.4 or newer, found '$version'; install Spin 4 from https://spinframework.dev/install" ;;
esac
build_components
private_folder
open_env "$manifest" "microsoftappid storageconnection" ""

say "Variables: $names"
for folder in "$library/deploy" "$library/target/wasm32-wasip2/release" /etc/systemd/system; do
    install -d -m 755 "$destdir$folder"
done
install -d -m 700 "$destdir/etc/proactive-bot"
print_env json >"$work/variables.json"
install -m 600 "$work/variables.json" "$destdir/etc/proactive-bot/variables.json"
install -m 644 "$manifest" "$destdir$library/deploy/spin.cron.toml"
for component in bot_component trigger_component; do
    install -m 644 "$root/target/wasm32-wasip2/release/$component.wasm" \
        "$destdir$library/target/wasm32-wasip2/release/$component.wasm"
done
sed -e "s|/usr/local/bin/spin|$spin|" -e "s|127\.0\.0\.1:3000|$listen|" \
    "$root/deploy/systemd/proactive-bot.service" >"$work/proactive-bot.service"
install -m 644 "$work/proactive-bot.service" "$destdir/etc/systemd/system/proactive-bot.service"
if [ ! -d "$destdir$library/spin/plugins/trigger-cron" ]; then
    install -d -m 755 "$destdir$library/spin"
    SPIN_DATA_DIR="$destdir$library/spin" spin plugins install trigger-cron --yes ||
        fail "the plugin trigger-cron of Spin was not installed; check that github.com can be reached, then run this again"
fi
if [ -n "$destdir" ]; then
    say "Done. The files are below $destdir; no service was started."
    exit 0
fi

systemctl daemon-reload
systemctl enable --quiet proactive-bot.service
systemctl restart proactive-bot.service ||
    fail "the service did not start; read: journalctl -u proactive-bot.service -n 50"
tries=30
until curl -fsS -m 5 -o /dev/null "http://$listen/healthz" 2>"$work/errors"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "the bot does not respond on http://$listen/healthz; read: journalctl -u proactive-bot.service -n 50"
    sleep 2
done
say "Done. The bot responds on http://$listen. Put a proxy with TLS in front of it; deploy/systemd/README.md has an example."
say "Then tell Azure the address, unless Azure knows it: deploy/azure/deploy.sh --url https://<your host>"
