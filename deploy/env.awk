# Reads a manifest and then a `.env`, and prints the variables for a platform's tool:
#
#   awk -v format=json -v needed="storageconnection pollkey" -f env.awk spin.http.toml .env
#
# format=json     {"name":"value",...}, for files that Spin and its plugins read (`--variable @file.json`)
# format=options  --variable 'name=value' for each variable, quoted for a POSIX shell
# format=names    the names, separated by blanks
# format=pollkey  the value of `pollkey`, percent-encoded
# format=keda     {"connection":"value"} with the value of KEDA_STORAGECONNECTION, or nothing without this value
# format=header   a line for a configuration file of curl: the header with the poll key
#
# `needed` lists the variables that must have a value. With kick=off, the value `on` of the variable `kick` is a
# problem. Problems go to stderr as `file:line: what is wrong; what to do`, without any part of a value. If there
# is a problem, nothing is printed to stdout, and the exit status is 1.

function problem(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text | "cat >&2"
    problems++
}

function missing(name, text) {
    printf "%s: SPIN_VARIABLE_%s is missing or empty; %s\n", file, toupper(name), text | "cat >&2"
    problems++
}

# Returns the value that dotenv and Spin read from `text`. Sets `fault` if the text is wrong, or if two programs
# could read different values from the text.
function decoded(text,    first, inner, i, c, result) {
    fault = ""
    first = substr(text, 1, 1)
    if (first == "'" || first == "\"") {
        if (length(text) < 2 || substr(text, length(text)) != first) {
            fault = "the value has no closing quote, or text behind the closing quote; write the whole value on one line in one pair of quotes"
            return ""
        }
        inner = substr(text, 2, length(text) - 2)
        if (first == "'") {
            if (index(inner, "'")) {
                fault = "the value has a quote within quotes; put it in double quotes"
            }
            return inner
        }
        result = ""
        for (i = 1; i <= length(inner); i++) {
            c = substr(inner, i, 1)
            if (c == "\\") {
                c = substr(inner, ++i, 1)
                if (c == "n") {
                    c = "\n"
                } else if (c !~ /["\\$']/ || c == "") {
                    fault = "the value has a backslash before another character than \", ', $, \\ or n; put it in single quotes"
                }
            } else if (c == "\"" || c == "$") {
                fault = "the value has \" or $ within double quotes; put a backslash before it, or use single quotes"
            }
            result = result c
        }
        return result
    }
    if (text ~ /[ \t]/) {
        fault = "the value has a blank; remove it, or put the value in single quotes"
    } else if (text ~ /["'\\$`]/) {
        fault = "the value has a quote, a backslash, a backtick or $; put it in single quotes"
    }
    return text
}

function json(text,    i, c, result) {
    result = "\""
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "\n") {
            c = "\\n"
        } else if (c == "\"" || c == "\\") {
            c = "\\" c
        }
        result = result c
    }
    return result "\""
}

function quoted(text) {
    gsub(/'/, "'\\''", text)
    return "'" text "'"
}

function percent_encoded(text,    i, c, result) {
    result = ""
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        result = result (c ~ /[A-Za-z0-9._~-]/ ? c : sprintf("%%%02X", code[c]))
    }
    return result
}

BEGIN {
    for (i = 1; i < 256; i++) {
        code[sprintf("%c", i)] = i
    }
}

# The manifest: collects the names in its [variables] table.
FILENAME == ARGV[1] {
    if ($0 ~ /^\[/) {
        in_variables = ($0 ~ /^\[variables\]/)
    } else if (in_variables && $0 ~ /^[a-z0-9_]+ *=/) {
        name = $0
        sub(/ *=.*/, "", name)
        known[name] = 1
    }
    next
}

{
    file = FILENAME
    if (index($0, "\r")) {
        if (!has_cr++) {
            problem("the line ends in CR LF, as on Windows; run: umask 077; tr -d '\\r' <" FILENAME " >" FILENAME ".new && mv " FILENAME ".new " FILENAME)
        }
        next
    }
    if (FNR == 1 && substr($0, 1, 3) == "\357\273\277") {
        problem("the file begins with a byte order mark; save it as UTF-8 without one")
        next
    }
}

/^[ \t]*$/ || /^[ \t]*#/ { next }

/^KEDA_STORAGECONNECTION=/ {
    if (keda != "") {
        problem("KEDA_STORAGECONNECTION is set twice; remove one of the lines")
        next
    }
    keda = decoded(substr($0, index($0, "=") + 1))
    if (fault != "") {
        problem("KEDA_STORAGECONNECTION: " fault)
    }
    next
}

!/^SPIN_VARIABLE_/ {
    if ($0 ~ /SPIN_VARIABLE_/) {
        problem("SPIN_VARIABLE_ is not at the beginning of the line; remove the text or the blank before it")
    } else if ($0 !~ /^[A-Za-z_][A-Za-z0-9_]*=/) {
        problem("expected SPIN_VARIABLE_<NAME>=<value>; a value of several lines needs double quotes and \\n for each line end")
    }
    # Other programs use lines with other names.
    next
}

{
    at = index($0, "=")
    if (!at) {
        problem("expected SPIN_VARIABLE_<NAME>=<value>, found no =; add it")
        next
    }
    name = substr($0, 15, at - 15)
    if (name ~ /[ \t]/) {
        problem("a blank is before the =; remove it")
        next
    }
    name = tolower(name)
    if (!(name in known)) {
        problem("SPIN_VARIABLE_" toupper(name) " is no variable of the manifest; correct the name, or remove the line")
        next
    }
    if (name in values) {
        problem("SPIN_VARIABLE_" toupper(name) " is set twice; remove one of the lines")
        next
    }
    value = decoded(substr($0, at + 1))
    if (fault == "" && value ~ /^[ \t]|[ \t]$/) {
        fault = "the value begins or ends with a blank; remove it"
    }
    # A value is allowed to contain line ends, because a certificate has several lines.
    shown = value
    gsub(/\n/, "", shown)
    if (fault == "" && shown ~ /[\001-\037\177]/) {
        fault = "the value has a control character; remove it"
    }
    values[name] = value
    if (fault != "") {
        problem("SPIN_VARIABLE_" toupper(name) ": " fault)
    }
    order[++count] = name
}

END {
    if (file == "") {
        file = ARGV[2]
    }
    if (problems) {
        exit 1
    }
    wanted = split(needed, names, " ")
    for (i = 1; i <= wanted; i++) {
        name = names[i]
        if (values[name] != "") {
            continue
        }
        if (name == "pollkey") {
            missing(name, "add the output of: openssl rand -hex 32")
        } else {
            missing(name, "add it; docs/deploying.md describes its value")
        }
    }
    if (values["pollkey"] != "" && length(values["pollkey"]) < 16) {
        printf "%s: SPIN_VARIABLE_POLLKEY has less than 16 characters; replace it by the output of: openssl rand -hex 32\n", file | "cat >&2"
        problems++
    }
    if (values["authmode"] == "anonymous") {
        printf "%s: SPIN_VARIABLE_AUTHMODE is anonymous, which is for local tests only; remove the line\n", file | "cat >&2"
        problems++
    }
    if (values["storageconnection"] ~ /UseDevelopmentStorage/) {
        printf "%s: SPIN_VARIABLE_STORAGECONNECTION leads to the local emulator; put the account's connection string there\n", file | "cat >&2"
        problems++
    }
    if (kick == "off" && values["kick"] == "on") {
        printf "%s: SPIN_VARIABLE_KICK is on, but this platform has no calls between components; remove the line\n", file | "cat >&2"
        problems++
    }
    if (problems) {
        exit 1
    }
    if (format == "pollkey") {
        print percent_encoded(values["pollkey"])
        exit 0
    }
    if (format == "keda") {
        if (keda != "") {
            print "{" json("connection") ": " json(keda) "}"
        }
        exit 0
    }
    if (format == "header") {
        print "header = " json("Authorization: Bearer " values["pollkey"])
        exit 0
    }
    line = ""
    for (i = 1; i <= count; i++) {
        name = order[i]
        if (format == "json") {
            line = line (i > 1 ? "," : "") "\n  " json(name) ": " json(values[name])
        } else if (format == "options") {
            line = line " --variable " quoted(name "=" values[name])
        } else {
            line = line (i > 1 ? " " : "") name
        }
    }
    print (format == "json" ? "{" line "\n}" : line)
}
