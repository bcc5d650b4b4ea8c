#!/bin/sh
# Replaces the Deploy-to-Azure button in the README. The old button opens an empty form of Azure's portal. The
# new button opens the template's form. The portal reads the template from a public repository on GitHub.
set -eu
script=deploy/azure/button.sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=deploy/common.sh
. "$root/deploy/common.sh"

usage='usage: deploy/azure/button.sh [--repository OWNER/NAME] [--branch NAME]'
repository='' branch=main readme=$root/README.md
while [ $# -gt 0 ]; do
    case $1 in
    --repository | --branch)
        [ $# -gt 1 ] || fail "$1: a value is missing; $usage"
        if [ "$1" = --branch ]; then branch=$2; else repository=$2; fi
        shift 2
        ;;
    -h | --help) say "$usage" && exit 0 ;;
    *) fail "$1: unknown option; $usage" ;;
    esac
done
if [ -z "$repository" ]; then
    origin=$(git -C "$root" remote get-url origin 2>/dev/null) || origin=''
    case $origin in
    *github.com[:/]*) repository=${origin#*github.com?} repository=${repository%.git} ;;
    *) fail "git names no repository on GitHub as origin; name yours: --repository OWNER/NAME" ;;
    esac
fi
case $repository in
*[!A-Za-z0-9._/-]* | */*/* | /* | */) fail "--repository: expected OWNER/NAME, found $repository; correct it" ;;
*/*) ;;
*) fail "--repository: expected OWNER/NAME, found $repository; correct it" ;;
esac
case $branch in
'' | *[!A-Za-z0-9._/-]*) fail "--branch: expected letters, digits and ._/-; use another branch" ;;
esac

template=https://raw.githubusercontent.com/$repository/$branch/deploy/azure/azuredeploy.json
# The address of the template is one segment in the portal's URL, so each : and / of the address has to be
# percent-encoded.
encoded=$(printf '%s' "$template" | sed 's|:|%3A|g; s|/|%2F|g')
button="[![Deploy to Azure](https://aka.ms/deploytoazurebutton)](https://portal.azure.com/#create/Microsoft.Template/uri/$encoded)"
private_folder
awk -v "button=$button" '
    /^\[!\[Deploy to Azure\]/ { next }
    { print }
    /^<!-- deploy\/azure\/button.sh / { print button; places++ }
    END { exit places == 1 ? 0 : 1 }
' "$readme" >"$work/README.md" ||
    fail "README.md: expected one line that begins with <!-- $script, found another number; restore the line"
cat "$work/README.md" >"$readme"
say "README.md has the button for $repository, branch $branch. The button works as soon as $template is public."
