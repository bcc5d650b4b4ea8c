#!/bin/sh
# Makes the Azure resources of a bot, and writes the bot's variables to a .env file. deploy/azure/README.md
# explains the options. A second run keeps everything that exists. If a run was interrupted, the next run
# makes the rest.
set -eu
umask 077
here=$(dirname "$0")
# shellcheck source-path=SCRIPTDIR source=env-file.sh
. "$here/env-file.sh"
# shellcheck source-path=SCRIPTDIR source=az.sh
. "$here/az.sh"

usage() {
    cat <<'TEXT'
Usage: deploy/azure/deploy.sh [options]

  --group NAME            the resource group (proactive-bot)
  --location REGION       where to make the group, if the group does not exist (westeurope)
  --url https://APP       the address at which the platform serves the bot, as soon as you know it
  --what-if               shows what a run would do, and changes nothing
  --renew                 makes a new secret or certificate, and new SAS

  --access roles|sas      how the bot opens the storage account (roles)
  --credential secret|certificate   how the bot proves its identity (secret)
  --keda                  makes a SAS with which KEDA counts the queue
  --app-id ID             uses this app registration, and makes none
  --bot NAME              the name of the bot in Azure
  --display-name NAME     the name of the bot that people see (Proactive bot)
  --storage-account NAME  the name of the storage account
  --queue NAME            the queue (bot-queue)
  --table-prefix TEXT     the first part of the names of the tables (proactivebot)
  --sku F0|S1             the price tier of the bot (F0: free of charge)
  --env FILE              the file to write (.env)
  --help                  shows this text
TEXT
}

die() {
    printf 'deploy.sh: %s\n' "$1" >&2
    exit 1
}

say() {
    printf '%s\n' "$1"
}

# --- Options

group='' location='' url='' access='' credential='' app_id='' bot='' display_name='' storage='' queue=''
prefix='' sku='' env_file=.env what_if=false renew=false keda=false

while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
        --what-if) what_if=true && continue ;;
        --renew) renew=true && continue ;;
        --keda) keda=true && continue ;;
        -h | --help) usage && exit 0 ;;
    esac
    case $option in
        --group | --location | --url | --access | --credential | --app-id | --bot | --display-name | --storage-account | \
            --queue | --table-prefix | --sku | --env) ;;
        *) die "$option: is not an option; run deploy.sh --help for a list" ;;
    esac
    { [ $# -gt 0 ] && [ -n "$1" ]; } || die "$option: the value is missing; add it behind the option"
    case $option in
        --group) group=$1 ;;
        --location) location=$1 ;;
        --url) url=${1%/} ;;
        --access) access=$1 ;;
        --credential) credential=$1 ;;
        --app-id) app_id=$1 ;;
        --bot) bot=$1 ;;
        --display-name) display_name=$1 ;;
        --storage-account) storage=$1 ;;
        --queue) queue=$1 ;;
        --table-prefix) prefix=$1 ;;
        --sku) sku=$1 ;;
        --env) env_file=$1 ;;
    esac
    shift
done

# --- The .env file

# setting OPTION NAME DEFAULT: prints the option, or else the value of an earlier run, or else the default.
setting() {
    if [ -n "$1" ]; then
        printf '%s' "$1"
    elif has "$2"; then
        value_of "$2"
    else
        printf '%s' "$3"
    fi
}

# Fails if the option names another bot than the file, because a file is for one bot only.
expect_same() {
    if [ -n "$1" ] && has "$2" && [ "$1" != "$(value_of "$2")" ]; then
        die "$env_file: is the file of another bot: $2 is $(value_of "$2") there, and $1 here; choose another file with --env"
    fi
}

check_env_file
expect_same "$group" BOT_GROUP
expect_same "$bot" BOT_NAME
expect_same "$storage" BOT_STORAGEACCOUNT
expect_same "$app_id" SPIN_VARIABLE_MICROSOFTAPPID

group=$(setting "$group" BOT_GROUP proactive-bot)
bot=$(setting "$bot" BOT_NAME '')
display_name=$(setting "$display_name" BOT_DISPLAYNAME 'Proactive bot')
storage=$(setting "$storage" BOT_STORAGEACCOUNT '')
url=$(setting "$url" BOT_URL '')
sku=$(setting "$sku" BOT_SKU F0)
access=$(setting "$access" BOT_ACCESS roles)
queue=$(setting "$queue" SPIN_VARIABLE_QUEUENAME bot-queue)
prefix=$(setting "$prefix" SPIN_VARIABLE_TABLEPREFIX proactivebot)
app_id=$(setting "$app_id" SPIN_VARIABLE_MICROSOFTAPPID '')
if has SPIN_VARIABLE_CERTIFICATE; then kept_credential=certificate; else kept_credential=secret; fi
credential=${credential:-$kept_credential}
if has KEDA_STORAGECONNECTION; then keda=true; fi

# --- Checks that need no Azure

expect() {
    printf '%s' "$2" | grep -Eqx -e "$3" || die "$1: expected $4, found '$2'"
}

expect --group "$group" '[A-Za-z0-9_().-]{0,89}[A-Za-z0-9_()-]' "up to 90 letters, digits, and some of -_.()"
expect --queue "$queue" '[a-z0-9](-?[a-z0-9])*' "lower-case letters, digits and single dashes"
expect --queue "$queue" '.{3,55}' "3 to 55 characters"
expect --table-prefix "$prefix" '[A-Za-z][A-Za-z0-9]{0,39}' "up to 40 letters and digits, a letter first"
expect --sku "$sku" 'F0|S1' "F0 or S1"
expect --access "$access" 'roles|sas' "roles or sas"
expect --credential "$credential" 'secret|certificate' "secret or certificate"
expect --display-name "$display_name" "[^']{1,35}" "up to 35 characters without a single quote"
if [ -n "$bot" ]; then
    expect --bot "$bot" '[A-Za-z0-9][A-Za-z0-9_-]{3,41}' "4 to 42 letters, digits, dashes and underscores"
fi
if [ -n "$storage" ]; then
    expect --storage-account "$storage" '[a-z0-9]{3,24}' "3 to 24 lower-case letters and digits"
fi
if [ -n "$app_id" ]; then
    expect --app-id "$app_id" '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}' "an app id such as 1c147b6e-…"
fi
if [ -n "$url" ]; then
    expect --url "$url" 'https://[A-Za-z0-9.-]+(:[0-9]+)?' "https:// and a host, without a path"
fi
if [ "$credential" = certificate ] && ! command -v openssl >/dev/null; then
    die "openssl: not found; install it, or use --credential secret"
fi
command -v az >/dev/null ||
    die "az: not found; install the Azure CLI (https://learn.microsoft.com/cli/azure/install-azure-cli), then run this again"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch" "$env_file.new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Announces a change. With --what-if, returns 1, and the caller does not make the change.
change() {
    if $what_if; then
        say "would $1"
        return 1
    fi
    say "* $1"
}

random_key() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

# Prints the day that is $1 days from now. The first command is for GNU's date, the second for BSD's date.
days_ahead() {
    date -u -d "+$1 days" +%Y-%m-%d 2>/dev/null || date -u -v "+$1d" +%Y-%m-%d
}

# --- What exists

login=$(azure "the check of the login" account show --query "join(' ', [id, tenantId, environmentName])" -o tsv)
subscription=${login%% *}
cloud=${login##* }
tenant=${login#* }
tenant=${tenant%% *}
[ "$cloud" = AzureCloud ] ||
    die "az: the cloud is $cloud, and this script knows only AzureCloud; set the bot up by hand (docs/deploying.md), with the channelservice of your cloud"
if has SPIN_VARIABLE_MICROSOFTAPPTENANTID && [ "$(value_of SPIN_VARIABLE_MICROSOFTAPPTENANTID)" != "$tenant" ]; then
    die "$env_file: the app is in the tenant $(value_of SPIN_VARIABLE_MICROSOFTAPPTENANTID), and az is logged in to $tenant; \
run az login --tenant with the tenant of the app, or choose another file with --env"
fi

# The default names end with this number. Each run for the same group gets the same number.
number=$(printf '%s/%s' "$subscription" "$group" | tr '[:upper:]' '[:lower:]' | cksum | cut -d ' ' -f 1)
bot=${bot:-proactive-bot-$number}
storage=${storage:-proactive$number}

has_group=$(azure "the query of the group" group exists -n "$group" -o tsv)
# in_group TYPE NAME: prints the name, if the group has this resource.
in_group() {
    if [ "$has_group" = true ]; then
        azure "the query of the group" resource list -g "$group" --resource-type "$1" --query "[?name=='$2'].name" -o tsv
    fi
}
has_storage=$(in_group Microsoft.Storage/storageAccounts "$storage")
if [ -z "$has_storage" ]; then
    is_free=$(azure "the check of the name" storage account check-name -n "$storage" --query nameAvailable -o tsv)
    [ "$is_free" = true ] || die "--storage-account: another account in Azure has the name $storage; choose another name"
fi
has_bot=$(in_group Microsoft.BotService/botServices "$bot")
if [ -n "$has_bot" ]; then
    app_of_bot=$(azure "the query of the bot" bot show -g "$group" -n "$bot" --query properties.msaAppId -o tsv)
    app_id=${app_id:-$app_of_bot}
    [ "$app_id" = "$app_of_bot" ] ||
        die "--bot: $bot exists with the app id $app_of_bot, and Azure cannot change the id; use --app-id $app_of_bot or another --bot"
fi

# --- The group

if [ "$has_group" != true ]; then
    location=${location:-westeurope}
    if change "make the resource group $group in $location"; then
        azure "the resource group" group create -n "$group" -l "$location" -o none >/dev/null
    fi
fi

# --- The app registration

if [ -n "$app_id" ]; then
    found=$(azure "the query of the app" ad app list --filter "appId eq '$app_id'" --query '[].appId' -o tsv)
    [ -n "$found" ] ||
        die "the tenant $tenant has no app registration $app_id; run az login with the app's tenant, or remove the id from $env_file"
else
    # An interrupted run has perhaps made the registration, without writing the app id to the file.
    app_id=$(azure "the query of the app" ad app list --filter "displayName eq '$bot'" --query '[].appId' -o tsv)
    [ "$(printf '%s\n' "$app_id" | wc -l)" -eq 1 ] ||
        die "the tenant has more than one app registration with the name $bot; choose one with --app-id"
fi
if ! $what_if && [ -f "$env_file" ]; then chmod 600 "$env_file"; fi
if [ -z "$app_id" ] && change "make the app registration $bot (single tenant)"; then
    app_id=$(azure "the app registration" ad app create --display-name "$bot" --sign-in-audience AzureADMyOrg \
        --query appId -o tsv)
fi
principal=''
if [ -n "$app_id" ]; then
    if ! $what_if; then
        put SPIN_VARIABLE_MICROSOFTAPPID "$app_id"
        put SPIN_VARIABLE_MICROSOFTAPPTENANTID "$tenant"
    fi
    principal=$(azure "the query of the service principal" ad sp list --filter "appId eq '$app_id'" --query '[].id' -o tsv)
fi
if [ -z "$principal" ] && change "make the service principal of the app"; then
    principal=$(azure "the service principal" ad sp create --id "$app_id" --query id -o tsv)
fi

make_secret() {
    secret=$(azure "the secret" ad app credential reset --id "$app_id" --append --display-name "$bot" --years 1 \
        --query password -o tsv)
    [ -n "$secret" ] || die "the secret: az printed none; run this again"
    put SPIN_VARIABLE_MICROSOFTAPPPASSWORD "$secret"
    remove SPIN_VARIABLE_CERTIFICATE
}

# Azure gets only the certificate, without the private key. The bot reads `\n` as a line end, so the value is
# one line.
make_certificate() {
    openssl req -x509 -newkey rsa:3072 -sha256 -nodes -days 365 -subj "/CN=$bot" \
        -keyout "$scratch/key.pem" -out "$scratch/certificate.pem" 2>"$scratch/error" ||
        die "openssl: cannot make a certificate; run this again with --credential secret"
    azure "the certificate" ad app credential reset --id "$app_id" --append --cert "@$scratch/certificate.pem" \
        --query appId -o tsv >/dev/null
    put SPIN_VARIABLE_CERTIFICATE "$(cat "$scratch/key.pem" "$scratch/certificate.pem" | awk '{ printf "%s\\n", $0 }')"
    remove SPIN_VARIABLE_MICROSOFTAPPPASSWORD
}

if [ "$credential" = certificate ]; then kept=SPIN_VARIABLE_CERTIFICATE; else kept=SPIN_VARIABLE_MICROSOFTAPPPASSWORD; fi
if $renew || ! has "$kept"; then
    if change "make a $credential for the app, valid for a year"; then
        "make_$credential"
        put BOT_CREDENTIALUNTIL "$(days_ahead 365)"
    fi
fi

# --- The keys of the bot's own routes

for name in POLLKEY SEALKEY HOOKKEY ALERTKEY; do
    if ! has "SPIN_VARIABLE_$name" && change "make a random key: $name"; then
        put "SPIN_VARIABLE_$name" "$(random_key)"
    fi
done

# --- The resources

# A SAS is signed with an account key. Without a SAS, the bot and KEDA need no account key.
if [ "$access" = sas ] || $keda; then shared_key=true; else shared_key=false; fi
unknown=00000000-0000-0000-0000-000000000000
set -- "appId=${app_id:-$unknown}" "appTenantId=$tenant" "botName=$bot" "displayName=$display_name" "sku=$sku" \
    "storageAccountName=$storage" "queueName=$queue" "tablePrefix=$prefix" "allowSharedKeyAccess=$shared_key"
if [ "$access" = roles ]; then set -- "$@" "principalId=${principal:-$unknown}"; fi
if [ -n "$url" ]; then set -- "$@" "appUrl=$url"; fi
template=$here/azuredeploy.json

if change "deploy the bot $bot and the storage account $storage into $group"; then
    connection=$(azure "the deployment" deployment group create -g "$group" -n proactive-bot --mode Incremental \
        --template-file "$template" --parameters "$@" --query properties.outputs.storageconnection.value -o tsv)
elif [ "$has_group" = true ]; then
    azure "the what-if of the deployment" deployment group what-if -g "$group" -n proactive-bot --mode Incremental \
        --template-file "$template" --parameters "$@"
fi
if ! $what_if; then
    put BOT_GROUP "$group"
    put BOT_NAME "$bot"
    put BOT_DISPLAYNAME "$display_name"
    put BOT_SKU "$sku"
    put BOT_STORAGEACCOUNT "$storage"
    put BOT_ACCESS "$access"
    if [ -n "$url" ]; then put BOT_URL "$url"; fi
    put SPIN_VARIABLE_QUEUENAME "$queue"
    put SPIN_VARIABLE_TABLEPREFIX "$prefix"
fi

# --- How the bot opens the storage account

queue_endpoint="QueueEndpoint=https://$storage.queue.core.windows.net/"
table_endpoint="TableEndpoint=https://$storage.table.core.windows.net/"

# sas SERVICES TYPES PERMISSIONS: makes a SAS. az reads the account's key from the environment, because every
# user of the machine can read command lines.
sas() {
    key=$(azure "the query of the account's key" storage account keys list -g "$group" -n "$storage" \
        --query '[0].value' -o tsv) || exit 1
    AZURE_STORAGE_KEY=$key
    export AZURE_STORAGE_KEY
    azure "the SAS" storage account generate-sas --account-name "$storage" --services "$1" --resource-types "$2" \
        --permissions "$3" --expiry "$(days_ahead 365)T00:00Z" --https-only -o tsv
}

# Succeeds if the variable $1 has a SAS of this account, and if this run keeps the SAS.
keeps_sas() {
    ! $renew && case $(value_of "$1") in
        "$queue_endpoint"*SharedAccessSignature=*) true ;;
        *) false ;;
    esac
}

if [ "$access" = roles ]; then
    if ! $what_if; then put SPIN_VARIABLE_STORAGECONNECTION "$connection"; fi
elif ! keeps_sas SPIN_VARIABLE_STORAGECONNECTION && change "make a SAS for the bot and the poller, valid for a year"; then
    # The resource type is only `o` (objects), so the bot can neither make nor delete queues and tables. The
    # template has made the queues and tables.
    token=$(sas qt o rdaup)
    put SPIN_VARIABLE_STORAGECONNECTION "$queue_endpoint;$table_endpoint;SharedAccessSignature=$token"
fi
if $keda && ! keeps_sas KEDA_STORAGECONNECTION && change "make a SAS with which KEDA counts the queue, valid for a year"; then
    token=$(sas q co r)
    put KEDA_STORAGECONNECTION "$queue_endpoint;SharedAccessSignature=$token"
fi

# Prints a note that $1 ends on the day $2, if this day is less than a month away.
warn_of_end() {
    soon=$(days_ahead 30)
    if [ -n "$2" ] && [ "$(printf '%s\n%s\n' "$2" "$soon" | sort | head -n 1)" = "$2" ]; then
        say "Note: $1 ends on $2; run this again with --renew, then deploy the bot again."
    fi
}

warn_of_end "the credential of the app" "$(value_of BOT_CREDENTIALUNTIL)"
for name in SPIN_VARIABLE_STORAGECONNECTION KEDA_STORAGECONNECTION; do
    warn_of_end "the SAS in $name" "$(value_of "$name" | sed -n 's/.*[=&?]se=\([0-9-]*\).*/\1/p')"
done

# --- What was made

if $what_if; then
    say "Nothing was changed."
    exit 0
fi
say ""
say "Done. $env_file has the bot's variables; only you can read the file. Everybody who reads it can act as the bot."
say "  bot              $bot ($sku), app id $app_id, tenant $tenant"
say "  storage account  $storage: queues $queue, $queue-poison and $queue-replies, tables $prefix*"
if [ "$access" = roles ]; then
    say "  access           by the roles of the bot's service principal; the roles can take ten minutes to work"
else
    say "  access           by a SAS"
fi
case $sku in
    F0) price="free of charge; Web Chat and Direct Line have a limit of messages a month" ;;
    *) price="Teams is free of charge; messages on Web Chat and Direct Line cost money" ;;
esac
say "  cost             bot: $price"
say "                   storage: by use, less than 1 USD a month with a poll a minute, a few USD with a poll a second"
if [ -z "$url" ]; then
    say "Next: deploy the bot to a platform with $env_file, then run this again with --url https://<your app>."
else
    say "Next: deploy the bot with $env_file, so that it answers at $url/api/messages."
fi
say "To delete everything: az group delete -n $group, then az ad app delete --id $app_id."
