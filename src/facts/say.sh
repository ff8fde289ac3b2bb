# How a script that asks a host behaves there, and how it answers: comes before facts.sh and import.sh.

export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
shopt -s nullglob

say() { # FIELD...: one line of the answer
    local IFS=$'\t'
    printf '%s\n' "$*"
}

