#!/bin/sh
# A stub of az for the tests of deploy/azure/deploy.sh. For each object that the script makes, the stub writes
# a file into the folder $AZ_STUB. The stub appends the arguments of each call to the file `calls`. If the
# stub does not know a call, the call fails.
set -eu
caller=$PWD
cd "$AZ_STUB"
call="$*"
printf '%s\037' "$@" >>calls
printf '\n' >>calls

unexpected() {
    printf 'STUB: unexpected call: az %s\n' "$call" >&2
    exit 99
}

# The value of an option.
option() {
    wanted=$1
    shift
    while [ $# -gt 1 ]; do
        if [ "$1" = "$wanted" ]; then
            printf '%s' "$2"
            return
        fi
        shift
    done
}

# The value of a parameter of the template, `name=value`.
parameter() {
    wanted=$1
    shift
    for argument in "$@"; do
        case $argument in "$wanted="*) printf '%s' "${argument#*=}" ;; esac
    done
}

# Makes a call fail once, before or after the call takes effect. The first line of the file `fail-before` or
# `fail-after` is the beginning of the call. The other lines are the error message.
fail() {
    if [ -f "fail-$1" ]; then
        beginning=$(head -n 1 "fail-$1")
        case $call in
            "$beginning"*)
                sed 1d "fail-$1" >&2
                rm "fail-$1"
                exit 1
                ;;
        esac
    fi
}

fail before
if [ ! -f login ]; then
    echo "ERROR: Please run 'az login' to setup account." >&2
    exit 1
fi
case $call in
    *" --only-show-errors") ;;
    *) unexpected ;;
esac

case $call in
    "account show "*) cat login ;;
    "group exists -n "*) if [ -f group ]; then echo true; else echo false; fi ;;
    "group create -n "*) option -n "$@" >group ;;
    "resource list -g "*)
        [ -f group ] || unexpected
        case $call in
            *Microsoft.Storage/storageAccounts*"[?name=='$(cat storage 2>/dev/null)'].name"*) cat storage ;;
            *Microsoft.BotService/botServices*"[?name=='$(cut -d ' ' -f 1 bot 2>/dev/null)'].name"*) cut -d ' ' -f 1 bot ;;
            *Microsoft.Storage/storageAccounts* | *Microsoft.BotService/botServices*) ;;
            *) unexpected ;;
        esac
        ;;
    "storage account check-name -n "*)
        if grep -qsx "$(option -n "$@")" taken; then echo false; else echo true; fi ;;
    "bot show -g "*) cut -d ' ' -f 2 bot ;;
    "ad app list --filter appId eq "*) cut -d ' ' -f 1 apps 2>/dev/null | grep -x "$(printf '%s' "$call" | cut -d "'" -f 2)" || true ;;
    "ad app list --filter displayName eq "*)
        name=$(printf '%s' "$call" | cut -d "'" -f 2)
        sed -n "s/ $name\$//p" apps 2>/dev/null || true
        ;;
    "ad app create --display-name "*"--sign-in-audience AzureADMyOrg "*)
        number=$(($(cat apps 2>/dev/null | wc -l) + 1))
        id=00000000-0000-0000-0000-00000000000$number
        printf '%s %s\n' "$id" "$(option --display-name "$@")" >>apps
        made=$id
        ;;
    "ad sp list --filter appId eq "*) cat sp 2>/dev/null || true ;;
    "ad sp create --id "*)
        printf '11111111-2222-3333-4444-555555555555\n' >>sp
        made=11111111-2222-3333-4444-555555555555
        ;;
    "ad app credential reset --id "*" --append "*"--cert @"*)
        certificate=$(option --cert "$@")
        cp "${certificate#@}" certificate.pem
        made=$(option --id "$@")
        ;;
    "ad app credential reset --id "*" --append "*"--years 1 --query password "*)
        echo >>secrets
        made="sec~ret.$(wc -l <secrets | tr -d ' ')_of-app"
        ;;
    "deployment group create -g "*)
        [ -f group ] && (cd "$caller" && [ -f "$(option --template-file "$@")" ]) || unexpected
        storage=$(parameter storageAccountName "$@")
        printf '%s\n' "$storage" >storage
        printf '%s %s\n' "$(parameter botName "$@")" "$(parameter appId "$@")" >bot
        made="DefaultEndpointsProtocol=https;AccountName=$storage;EndpointSuffix=core.windows.net"
        ;;
    "deployment group what-if -g "*) [ -f group ] && echo "a forecast" ;;
    "storage account keys list -g "*) made=c2VjcmV0LWtleQ== ;;
    "storage account generate-sas --account-name "*)
        [ "$AZURE_STORAGE_KEY" = c2VjcmV0LWtleQ== ] || unexpected
        made="se=$(option --expiry "$@")&sp=$(option --permissions "$@")&spr=https&sv=2026-04-06&ss=$(option --services "$@")"
        made="$made&srt=$(option --resource-types "$@")&sig=E6rR%2BXhH39%3D"
        ;;
    *) unexpected ;;
esac
fail after
if [ -n "${made-}" ]; then printf '%s\n' "$made"; fi
