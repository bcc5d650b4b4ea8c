# shellcheck shell=sh disable=SC2154
# Functions of deploy.sh that call az. deploy.sh sets the variables that these functions use, and makes the
# folder $scratch. The file `error` in this folder has the last error of az.

# azure PURPOSE ARGUMENT...: runs az with these arguments. If az fails, prints a message that names PURPOSE
# and the remedy, and ends the script.
azure() {
    if ! answer=$(az_with_retries "$@"); then
        explain "$1"
        exit 1
    fi
    printf '%s\n' "$answer" | tr -d '\r'
}

# Runs az, and repeats a call up to five times, because some servers of Entra and Azure do not know a new app,
# service principal or group for some seconds.
az_with_retries() {
    shift
    tries=6
    until az "$@" --only-show-errors 2>"$scratch/error"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] && is_not_known_yet || return 1
        sleep "${DEPLOY_PAUSE_SECONDS:-10}"
    done
}

is_not_known_yet() {
    grep -Eqi -e PrincipalNotFound -e Request_ResourceNotFound -e "not reference a valid application object" \
        -e ServiceUnavailable -e TooManyRequests "$scratch/error"
}

explain() {
    case $(cat "$scratch/error") in
        *"az login"* | *AADSTS* | *InteractionRequired*)
            remedy="az is not logged in, or its login has ended; run az login, then run this again" ;;
        *"Insufficient privileges"* | *Authorization_RequestDenied*)
            remedy="you are not allowed to register apps; ask for the Entra role Application Developer, or for an app registration \
that you own, and add --app-id" ;;
        *roleAssignments/write*)
            remedy="you are not allowed to assign roles; ask for the role Owner or User Access Administrator, or add --access sas" ;;
        *RoleAssignmentExists* | *RoleAssignmentUpdateNotPermitted*)
            remedy="the storage account has this role assignment, or one of a deleted app, under another name; delete the assignment \
(find it with: az role assignment list --scope <id of the storage account>), then run this again" ;;
        *AuthorizationFailed*)
            remedy="you lack a right; ask for the role Contributor on the resource group, then run this again" ;;
        *"App ID is already registered"* | *"MsaAppId is already in use"* | *"App ID already in use"*)
            remedy="another bot uses the app id $app_id, and an app id serves one bot; remove SPIN_VARIABLE_MICROSOFTAPPID \
and the secret below it from $env_file, and run this again without --app-id" ;;
        *"bot name is already registered"* | *"Id is already in use"*)
            remedy="another bot in Azure has the name $bot; choose another name with --bot" ;;
        *StorageAccountAlreadyTaken* | *StorageAccountAlreadyExists*)
            remedy="another storage account in Azure has the name $storage; choose another name with --storage-account" ;;
        *MissingSubscriptionRegistration* | *NoRegisteredProviderFound*)
            remedy="a service is not registered in the subscription; run az provider register -n Microsoft.BotService, and the same \
for Microsoft.Storage, then run this again in a minute" ;;
        *LocationNotAvailable* | *"not available for resource group"*)
            remedy="Azure has no such region; choose one of az account list-locations with --location" ;;
        *ReadOnlyDisabledSubscription* | *DisallowedByPolicy*)
            remedy="the subscription or one of its policies refuses this; ask its administrator, or choose another subscription with az account set" ;;
        *"policy for the tenant"* | *CredentialTypeNotAllowed*)
            remedy="the tenant refuses this kind of credential; use the other --credential" ;;
        *) remedy="az gives the reason below; remove the cause, then run this again" ;;
    esac
    printf 'deploy.sh: %s failed: %s\n' "$1" "$remedy" >&2
    sed 's/^/  az: /' "$scratch/error" >&2
}
