#!/bin/sh
# Polls the bot at POLL_URL for POLL_SECONDS, with PAUSE_SECONDS between two polls, and at least once. The
# script counts seconds instead of polls, because a poll takes up to 26 seconds. If the last poll failed, the
# exit status is 1, and the Job shows the failure.
set -eu
end=$(($(date +%s) + POLL_SECONDS))
while :; do
    failed=0
    # The poll key goes through a pipe, because every process of the node can read the arguments of curl.
    response=$(printf 'Authorization: Bearer %s\n' "$POLLKEY" |
        curl -fsS -m 40 -X POST -H @- -w ' %{http_code}' "$POLL_URL") || failed=1
    if [ "$failed" = 0 ]; then
        echo "poll: ${response% *}"
    else
        case ${response##* } in
            401) echo "poll: 401, the bot refuses the key; if pollkey was changed, restart the bot's pods" >&2 ;;
            404) echo "poll: 404, the bot has no pollkey; add pollkey to the Secret and restart the bot's pods" >&2 ;;
            000) echo "poll: no response from $POLL_URL; look at the bot's pods and at the NetworkPolicy" >&2 ;;
            *) echo "poll: ${response##* }; the log of the bot's pods has the reason" >&2 ;;
        esac
    fi
    [ $(($(date +%s) + PAUSE_SECONDS)) -lt "$end" ] || exit "$failed"
    sleep "$PAUSE_SECONDS"
done
