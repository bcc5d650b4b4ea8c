# shellcheck shell=sh disable=SC2154
# The functions that the deploy scripts share. A script sets `script` (its name in messages) and `root` (the
# folder of the project), and then reads this file. The script's options set `env` (the path of the .env file)
# and `build` (`yes` or `no`).

fail() {
    printf '%s: %s\n' "$script" "$*" >&2
    exit 1
}

say() {
    printf '%s\n' "$*"
}

# expect PROGRAM REMEDY: if the program is not on the PATH, prints REMEDY and ends the script.
expect() {
    command -v "$1" >/dev/null 2>&1 || fail "$1: not found; $2"
}

# Makes a folder that only this user can read, and sets `work` to the path of the folder. The folder is
# deleted when the script ends.
private_folder() {
    work=$(mktemp -d) || fail "mktemp: no temporary folder can be made; check TMPDIR and the free space"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# open_env MANIFEST NEEDED KICK: checks the file `env`, and sets `names` to the names of the variables in this
# file. env.awk explains NEEDED and KICK. `manifest_now`, `needed_now` and `kick_now` keep the arguments for
# print_env.
open_env() {
    manifest_now=$1 needed_now=$2 kick_now=$3
    # awk would take a path such as `a=b` for an assignment, but not a path that begins with ./ or /.
    case $env in
    /*) ;;
    *) env=./$env ;;
    esac
    [ -f "$env" ] || fail "$env: not found; write it first (docs/deploying.md lists its lines), or name it with --env FILE"
    [ -r "$env" ] || fail "$env: cannot be read; run this as the user who owns it"
    # In POSIX, only `ls -l` shows the mode. `cut` keeps the rights of the group and of other users, and drops
    # the name of the file.
    # shellcheck disable=SC2012
    case $(ls -lLd "$env" | cut -c5-10) in
    ------) ;;
    *) say "$env: other users can read it; to keep its secrets, run: chmod 600 $env" >&2 ;;
    esac
    names=$(print_env names) || fail "nothing was done; correct $env as the lines above say, then run this again"
    [ -n "$names" ] || fail "$env: sets no variable; add lines SPIN_VARIABLE_<NAME>=<value>"
}

# print_env FORMAT: prints the variables of the file `env` in a format of env.awk.
print_env() {
    LC_ALL=C awk -v "format=$1" -v "needed=$needed_now" -v "kick=$kick_now" -f "$root/deploy/env.awk" \
        "$manifest_now" "$env"
}

# build_components: builds both components, unless `build` is `no`.
build_components() {
    if [ "$build" = yes ]; then
        expect cargo "install Rust from https://rustup.rs, then run this again"
        (cd "$root" && cargo dev build) || fail "the build failed; read its messages above"
    fi
    for component in bot_component trigger_component; do
        [ -f "$root/target/wasm32-wasip2/release/$component.wasm" ] ||
            fail "target/wasm32-wasip2/release/$component.wasm: not found; build it first, as yourself: cargo dev build"
    done
}
