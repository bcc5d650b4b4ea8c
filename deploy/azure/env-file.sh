# shellcheck shell=sh disable=SC2154
# Functions of deploy.sh that read and write the .env file, whose path is in $env_file. A line is NAME=value.

# Checks the lines of the file. Messages give the number of a wrong line, but not the text of the line,
# because the text can be a secret.
check_env_file() {
    folder=$(dirname "$env_file")
    { [ -d "$folder" ] && [ -w "$folder" ]; } ||
        die "$env_file: cannot be written, because $folder is no folder in which you can write; choose another file with --env"
    [ -e "$env_file" ] || return 0
    { [ -f "$env_file" ] && [ -r "$env_file" ] && [ -w "$env_file" ]; } ||
        die "$env_file: is no file that you can read and write; choose another file with --env"
    lines=$(grep -n '' "$env_file" | grep -v '^[0-9]*:[[:space:]]*#' || true)
    refuse_line "$(printf '\r')" "ends with CR LF; remove it: tr -d '\\r' < $env_file > new.env && mv new.env $env_file"
    lines=$(printf '%s\n' "$lines" | grep -v '^[0-9]*:[[:space:]]*$' || true)
    refuse_line '^[^=]*$' "has no =; write NAME='value' in one line, or begin the line with #"
    refuse_line '^[^=]*[[:space:]][^=]*=' "has a blank before the =; write NAME='value'"
    refuse_line '^[^=]*=[[:space:]]' "has a blank behind the =; write NAME='value'"
    refuse_line "^[^=]*=[^'\"][^'\"]*[[:space:]]" "has a blank in a value without quotes; write NAME='value'"
}

refuse_line() {
    number=$(printf '%s\n' "$lines" | grep -e "$1" | head -n 1 | cut -d : -f 1)
    [ -z "$number" ] || die "$env_file: line $number $2"
}

# Prints the value of a name, without the quotes around the value.
value_of() {
    [ -f "$env_file" ] || return 0
    sed -n -e "/^$1=/{ s///; s/^'\\(.*\\)'\$/\\1/; s/^\"\\(.*\\)\"\$/\\1/; h; }" -e "\$ { x; p; }" "$env_file"
}

has() {
    [ -n "$(value_of "$1")" ]
}

# put NAME VALUE: writes a line. The shell, Spin and `cargo dev` read the file. If one of these programs would
# change the value, the value gets single quotes.
put() {
    if [ "$(value_of "$1")" = "$2" ] && [ -n "$2" ]; then return 0; fi
    case $2 in
        *"'"*) die "$1: the value has a single quote, which .env cannot hold; run this again with --renew" ;;
        *[!A-Za-z0-9_./:@%+,-]*) quoted="'$2'" ;;
        *) quoted=$2 ;;
    esac
    remove "$1"
    { cat "$env_file" && printf '%s=%s\n' "$1" "$quoted"; } >"$env_file.new"
    mv "$env_file.new" "$env_file"
}

# Removes the line of a name. If the file is missing, makes an empty file.
remove() {
    if [ -f "$env_file" ]; then
        grep -v "^$1=" "$env_file" >"$env_file.new" || true
    else
        : >"$env_file.new"
    fi
    mv "$env_file.new" "$env_file"
}
