# How a script that asks a host behaves there, and how it answers: comes before facts.sh and import.sh.

export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
shopt -s nullglob
synprov_request=''

say() { # FIELD...: one line of the answer
    local IFS=$'\t'
    printf '%s\n' "$*"
}

# bash writes each line by itself, and each write is a packet, here and there. Of many lines each is kept in the
# caller's array `notes`, and all are told at once.
note() { # FIELD...
    local IFS=$'\t'
    notes+=("$*")
}

tell() {
    ((${#notes[@]})) || return 0
    local IFS=$'\n'
    printf '%s\n' "${notes[*]}"
}

# And it reads a pipe byte by byte, lest it takes what is somebody else's, but what `$(…)` says in blocks.
split() { # TEXT: its lines into the caller's array `lines`; empty ones are left out
    local - IFS=$'\n'
    set -f
    # shellcheck disable=SC2206
    lines=($1)
}
