# Whether a process is ready, seen from its own host. Follows facts.sh where that is asked: in an apply, and for
# `synprov status`. Needs what facts.sh defines.

# bash opens no unix sockets: the interpreter of the process that is waited for does, without its packages.
interpreter=/usr/bin/python3

over_socket() { # PATH [health]
    "$interpreter" -I -S -c '
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(3)
try:
    peer.connect(sys.argv[1])
    if len(sys.argv) > 2:
        peer.sendall(b"GET /health HTTP/1.0\r\nHost: synprov\r\n\r\n")
        sys.exit(b" 200 " not in peer.recv(64))
except OSError:
    sys.exit(1)
' "$@" 2> /dev/null
}

# Splits ADDRESS:PORT, [ADDRESS]:PORT; or unix:PATH.
connects() { # ADDRESS:PORT
    [[ $1 == unix:* ]] && { over_socket "${1#unix:}"; return; }
    local address=${1%:*} port=${1##*:}
    address=${address#[}
    timeout 3 bash -c 'exec 3<> "/dev/tcp/$0/$1"' "${address%]}" "$port" 2> /dev/null
}

healthy() { # ADDRESS:PORT
    [[ $1 == unix:* ]] && { over_socket "${1#unix:}" health; return; }
    local address=${1%:*} port=${1##*:}
    address=${address#[}
    timeout 5 bash -c 'exec 3<> "/dev/tcp/$0/$1" && printf "GET /health HTTP/1.0\r\nHost: synprov\r\n\r\n" >&3 && IFS= read -r line <&3 && [[ $line == *" 200 "* ]]' \
        "${address%]}" "$port" 2> /dev/null
}

# The process itself holds an established connection to that port (Redis): /health does not notice its absence.
connected() { # PID ADDRESS:PORT
    local port inodes
    printf -v port '%04X' "${2##*:}"
    inodes=$(find "/proc/$1/fd" -lname 'socket:*' -printf '%l|' 2> /dev/null)
    inodes=${inodes//[^0-9|]/}
    [[ -n $inodes ]] || return 1
    grep -qsE "^ *[0-9]+: [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:$port 01 .* (${inodes%|}) " "/proc/$1/net/tcp" "/proc/$1/net/tcp6"
}

# The first condition that does not hold, in words; nothing if all do.
# Conditions are words KIND=VALUE: health=A:P listens=A:P redis=A:P reaches=A:P
unmet() { # PID CONDITION...
    local pid=$1 condition value
    shift
    value=$(readlink -- "/proc/$pid/exe")
    [[ ${value##*/} == python* ]] && interpreter=$value
    for condition in "$@"; do
        value=${condition#*=}
        case $condition in
            health=*) healthy "$value" || { echo "GET http://$value/health answers 200"; return; } ;;
            listens=*) connects "$value" || { echo "$value listens"; return; } ;;
            redis=*) connected "$pid" "$value" || { echo "it is connected to Redis at $value"; return; } ;;
            reaches=*) connects "$value" || { echo "$value can be reached from this host"; return; } ;;
        esac
    done
}

# What a unit's process is like at this moment: the program it runs, its memory, and what it lacks to be ready.
probe_states() {
    local unit
    for unit in "${!ready[@]}"; do probe_state "$unit" & done
    wait
}

probe_state() { # UNIT
    local pid active program='' memory=0 missing='' key value rest
    local -a conditions=()
    while IFS='=' read -r key value; do
        case $key in ActiveState) active=$value ;; MainPID) pid=$value ;; esac
    done < <(systemctl show --property=ActiveState,MainPID -- "$1")
    if ((${pid:-0})); then
        IFS= read -r -d '' program < "/proc/$pid/cmdline"
        while read -r key value rest; do [[ $key == VmRSS: ]] && memory=$value; done < "/proc/$pid/status"
    fi
    IFS=$'\t' read -r -a conditions <<< "${ready[$1]}"
    [[ $active == active || $active == reloading ]] && missing=$(unmet "${pid:-0}" "${conditions[@]}")
    say state "$1" "${memory:-0}" "${program//[$'\t\n']/ }" "${missing//[$'\t\n']/ }"
} 2> /dev/null
