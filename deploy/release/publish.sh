#!/bin/sh
# Pushes the built application to a registry, signs the application, and attaches the lists of the
# application's crates (SBOM). The workflow release.yml first logs `spin` and `cosign` in to the registry, and
# then runs this script.
#
#   deploy/release/publish.sh ghcr.io/owner/proactive-bot:0.1.0 bot.cdx.json poller.cdx.json
#
# The last line of stdout is `digest=sha256:...`. A second run pushes and signs the same content again.
set -eu
script=deploy/release/publish.sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=deploy/common.sh
. "$root/deploy/common.sh"

[ $# -ge 2 ] || fail "usage: deploy/release/publish.sh IMAGE:TAG SBOM..."
image=$1
shift
name=${image%:*}
tag=${image##*:}
case $name in
"$image" | *[!a-z0-9./_-]*) fail "$image: expected a name in lower case and a tag, e.g. ghcr.io/owner/proactive-bot:0.1.0" ;;
esac
case $tag in
'' | */*) fail "$image: the tag is missing; add :VERSION" ;;
esac
for sbom; do
    [ -s "$sbom" ] || fail "$sbom: not found or empty; make it with cargo cyclonedx (docs/deploying.md)"
done
expect spin "install Spin 4.0, because SpinKube does not run apps of a newer Spin"
expect cosign "install cosign 2 or newer"
build=no
build_components
private_folder

spin registry push --from "$root/deploy/spin.http.toml" "$image" >"$work/pushed" 2>&1 || {
    cat "$work/pushed" >&2
    fail "the push failed; check the login: spin registry login ${image%%/*}"
}
cat "$work/pushed"
digest=$(sed -n 's/.*Pushed with digest \(sha256:[0-9a-f]*\).*/\1/p' "$work/pushed")
[ ${#digest} -eq 71 ] || fail "spin printed no digest, so nothing can be signed; push to a registry that returns one"

# The script signs the digest instead of the tag, because a tag can be moved to another image.
cosign sign --yes "$name@$digest" || fail "the signature failed; in a workflow, the job needs id-token: write"
for sbom; do
    cosign attest --yes --type cyclonedx --predicate "$sbom" "$name@$digest" ||
        fail "$sbom was not attached; run this again"
done
say "digest=$digest"
