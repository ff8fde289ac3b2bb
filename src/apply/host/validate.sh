# The staged set, checked by the program that will read it, as if it were in place.

# Runs a command in a mount namespace of its own in which the staged tree lies over the real directories.
in_place() { # SET DIRECTORY... -- COMMAND...
    local set=$1
    local -a directories=()
    shift
    while [[ $1 != -- ]]; do directories+=("$1"); shift; done
    shift
    unshare --mount --propagation private -- bash -c '
        stage=$1 n=$2; shift 2
        while ((n-- > 0)); do
            mount -t overlay overlay -o "lowerdir=$stage$1:$1" -- "$1" || { echo "synprov: cannot lay the staged files over $1"; exit 97; }
            shift
        done
        exec "$@"' in_place "$stage/$set" "${#directories[@]}" "${directories[@]}" "$@"
}

validate_nginx() { # DIRECTORY...
    in_place "${staged:-nginx}" "$@" -- nginx -t -q
}

# One file that a proxy is to route by for a while, staged beside its set.
validate_route() { # nginx|haproxy ARGUMENT...
    local staged=route
    "validate_$1" "${@:2}" || return 1
}

# HAProxy's configuration, and beside it the links that its unit will make when it starts.
validate_haproxy() { # DIRECTORY... -- CONFIGURATION -- [TO AT]...
    local file directory
    local -a directories=()
    while [[ $1 != -- ]]; do directories+=("$1"); shift; done
    file=$2
    shift 3
    while (($#)); do
        directory=${2%/*}
        mkdir -p -m 0700 -- "$directory" "$stage/${staged:-haproxy}$directory" || return 1
        ln -sfT -- "$1" "$stage/${staged:-haproxy}$2" || return 1
        [[ " ${directories[*]} " == *" $directory "* ]] || directories+=("$directory")
        shift 2
    done
    in_place "${staged:-haproxy}" "${directories[@]}" -- haproxy -c -q -f "$file"
}

validate_systemd() { # DIRECTORY... -- UNIT-FILE...
    local -a directories=() options=(--man=no)
    while [[ $1 != -- ]]; do directories+=("$1"); shift; done
    shift
    (($#)) || return 0
    # Without this option systemd-analyze exits 0 on unknown keys; before systemd 250 only its words tell.
    if systemd-analyze --help | grep -q recursive-errors; then
        in_place systemd "${directories[@]}" -- systemd-analyze verify "${options[@]}" --recursive-errors=no "$@"
    else
        local said
        said=$(in_place systemd "${directories[@]}" -- systemd-analyze verify "${options[@]}" "$@" 2>&1) || { printf '%s\n' "$said"; return 1; }
        [[ -z $said ]] || { printf '%s\n' "$said"; return 1; }
    fi
}

# Whether Synapse accepts the configuration of processes, and on standard output what each kind of them serves, said
# with the venv's own code. Its scratch directory is in memory: /tmp may be full, or not there for the user.
ask_synapse() { # USER PYTHON ASKED-AS-JSON MODULES SCRIPT-OFFSET LENGTH DIRECTORY...
    local user=$1 python=$2 asked=$3 modules=$4 script
    script=$(slice "$5" "$6") || return 1
    shift 6
    in_place synapse "$@" -- setpriv --reuid="$user" --regid="$user" --init-groups -- \
        env TMPDIR=/dev/shm "$python" -I -B -c "$script" "$asked" "$modules"
}

validate_synapse() { # as ask_synapse
    ask_synapse "$@" > /dev/null
}

# The controller holds the routes against what it says.
check_routes() { # as ask_synapse
    local line
    ask_synapse "$@" \
        | while IFS= read -r line; do
            # A pipe takes up to 4096 bytes at once; into more of them a heartbeat or a line of the log could fall.
            while ((${#line} > 3000)); do
                answer registers "${line:0:3000}"
                line=${line:3000}
            done
            answer registered "$line"
        done
    ((PIPESTATUS[0] == 0)) || { complain 'Synapse could not be asked what it serves; see above'; return 1; }
}
