# Services: started, restarted, reloaded and stopped, each until it is seen.

property() { # UNIT PROPERTY
    systemctl show --property="$2" --value -- "$1"
}

children() { # UNIT: PID@START of its worker processes
    local -a found
    children_of "$(property "$1" MainPID)"
    printf '%s\n' "${found[*]}"
}

newest() { # PID: when the latest of its worker processes began
    local child
    local -a found
    local -i latest=0
    children_of "$1"
    for child in "${found[@]}"; do ((${child#*@} <= latest)) || latest=${child#*@}; done
    ((!latest)) || printf '%s\n' "$latest"
}

explain() { # UNIT: why it does not run, in its own last words
    complain "$1 is $(property "$1" ActiveState) ($(property "$1" SubState), result $(property "$1" Result)); its last lines:"
    local -a under=()
    clusters "$1" "$(property "$1" Wants)"
    journalctl --unit="$1" "${under[@]/#/--unit=}" --lines=20 --no-pager --output=cat 2> /dev/null
    return 1
}

# What systemd says when a restart is over: await then looks at once, and does not take the time to look before.
job=''

# It holds nothing that the step's end waits for: a restart may last for ever.
restart_unit() { # UNIT
    exec {job}< <(exec {lock}>&- {records}>&- {out}>&- 2>&1; systemctl restart -- "$1"; echo "status $?")
}

# Waits for a moment, or until the restart is over. What systemd said of one that it refused stays in `refused`.
pause() {
    local line
    local -i status
    [[ -n $job ]] || { sleep 0.05; return; }
    while :; do
        IFS= read -r -t 1 -u "$job" line
        status=$?
        # It goes on.
        ((status <= 128)) || return 0
        case $status/$line in
            '0/status 0') refused='' ;;
            0/status\ *) ;;
            0/*) refused=${refused:-$line}; continue ;;
        esac
        break
    done
    exec {job}<&-
    job=''
}

# Waits until a unit is active with another InvocationID than OLD and all conditions hold.
# Conditions are words KIND=VALUE: health=A:P listens=A:P redis=A:P reaches=A:P
await() { # UNIT OLD-INVOCATION DEADLINE-SECONDS CONDITION...
    local unit=$1 old=$2 condition value missing='' line state invocation pid restarts refused=''
    local -i limit=$3 began=$SECONDS first=-1 told=$SECONDS
    shift 3
    while :; do
        while IFS='=' read -r line value; do
            case $line in
                ActiveState) state=$value ;;
                InvocationID) invocation=$value ;;
                MainPID) pid=$value ;;
                NRestarts) restarts=$value ;;
            esac
        done < <(systemctl show --property=ActiveState,InvocationID,MainPID,NRestarts -- "$unit")
        ((first < 0)) && first=${restarts:-0}
        missing='systemd says active'
        case $state in
            failed) explain "$unit"; return 1 ;;
            inactive)
                # One that is masked, or waits in vain for another unit.
                [[ -z $refused || -n $job ]] || { complain "$refused"; explain "$unit"; return 1; }
                ;;
            active) [[ $invocation != "$old" ]] && missing='' ;;
        esac
        if ((${restarts:-0} >= first + 2)); then
            complain "$unit ends again and again"
            explain "$unit"
            return 1
        fi
        if [[ -z $missing ]]; then
            missing=$(unmet "$pid" "$@")
        fi
        if [[ -z $missing ]]; then
            answer started "$unit" "$invocation" "$(newest "${pid:-0}")" "$((SECONDS - began > 0 ? SECONDS - began : 1))"
            return 0
        fi
        if [[ $state == activating ]] && ((SECONDS - told >= 3 || (limit > 0 && SECONDS - began >= limit))); then
            # Its own start waits for something; most likely for one of these.
            for condition in "$@"; do
                value=${condition#*=}
                case $condition in
                    redis=*) connects "$value" || missing="Redis at $value can be reached from this host" ;;
                    reaches=*) connects "$value" || missing="$value can be reached from this host" ;;
                    *) continue ;;
                esac
                [[ $missing == systemd* ]] || break
            done
        fi
        if ((limit > 0 && SECONDS - began >= limit)); then
            complain "$unit is not ready after $limit s: waited until $missing"
            explain "$unit"
            return 1
        fi
        if ((SECONDS - told >= 3)); then
            told=$SECONDS
            answer waiting "$unit" "$((SECONDS - began)) s: until $missing"
        fi
        pause
    done
}

# A mask is undone like any other change of somebody's: the plan has shown it.
unmask_units() { # UNIT...
    local unit
    for unit in "$@"; do
        case $(property "$unit" UnitFileState) in
            masked-runtime) systemctl unmask --runtime --quiet -- "$unit" || return 1 ;;
            masked) systemctl unmask --quiet -- "$unit" || return 1 ;;
        esac
    done
}

enable_units() { # UNIT...
    unmask_units "$@" && systemctl enable --quiet -- "$@"
}

start_units() { # UNIT...: enabled and started side by side; await comes after
    unmask_units "$@" || return 1
    systemctl enable --quiet -- "$@" 2>&1 | grep -v -e 'not meant to be enabled' || true
    systemctl reset-failed -- "$@" 2> /dev/null
    systemctl start --no-block -- "$@" || return 1
    # An umbrella that is active starts nothing anew.
    local -a under=()
    local unit
    for unit in "$@"; do
        clusters "$unit" "$(property "$unit" Wants)"
        ((!${#under[@]})) || systemctl start --no-block -- "${under[@]}" || return 1
    done
}

# What await must not mistake for the new start; empty if it runs and only has to be ready. A unit that is
# just starting may have read what has been replaced since: it begins anew, unless that would cut off a
# migration of the schema.
old_invocation() { # UNIT anew|join
    case $(property "$1" ActiveState) in
        active | reloading) return 0 ;;
        activating)
            [[ $2 == join ]] && return 0
            systemctl stop -- "$1" > /dev/null || return 1
            ;;
    esac
    property "$1" InvocationID
}

reload_unit() { # UNIT: a reload that exits 0 may still have changed nothing: new worker processes are the proof
    local before now word
    local -i deadline=$((SECONDS + 20))
    before=" $(children "$1") "
    systemctl reload -- "$1" || { explain "$1"; return 1; }
    while ((SECONDS < deadline)); do
        now=$(children "$1")
        for word in $now; do
            [[ $before == *" $word "* ]] || { retired "$before"; return 0; }
        done
        sleep 0.1
    done
    complain "$1 said that it reloaded, but no new worker process appeared; it goes on with the old configuration"
    [[ $1 == nginx.service ]] && tail -n 5 /var/log/nginx/error.log
    return 1
}

# Synapse reads some things again on SIGHUP, and says to systemd when it begins and when it has: the unit is
# "reloading" in between, and remains so if that failed.
reread_unit() { # UNIT
    local pid before key value since='' sub=''
    local -i deadline=$((SECONDS + 60))
    pid=$(property "$1" MainPID) before=$(property "$1" StateChangeTimestampMonotonic)
    [[ ${pid:-0} != 0 ]] && kill -HUP "$pid" || { explain "$1"; return 1; }
    while ((SECONDS < deadline)); do
        while IFS='=' read -r key value; do
            case $key in StateChangeTimestampMonotonic) since=$value ;; SubState) sub=$value ;; esac
        done < <(systemctl show --property=StateChangeTimestampMonotonic,SubState -- "$1")
        [[ $since != "$before" && $sub == running ]] && return 0
        sleep 0.1
    done
    complain "$1 was told to read its log configuration and its cache factors again, and did not say that it has"
    explain "$1"
    return 1
}

# nginx's former worker processes take requests for a moment after the new ones do, until they have heard that
# they are to end.
retired() { # ' PID@START PID@START ': the former worker processes
    local word line
    local -i deadline=$((SECONDS + 5))
    for word in $1; do
        while read -r -d '' line < "/proc/${word%@*}/cmdline" && [[ $line == 'nginx: worker process' ]] && ((SECONDS < deadline)); do
            sleep 0.05
        done 2> /dev/null
    done
}

connections() { # PORT, ADDRESS:PORT or unix:PATH: established connections to a listener
    local port state path
    local -i count=0
    if [[ $1 == unix:* ]]; then
        # State 03 is connected; the listener itself is 01 (Linux, net/unix/af_unix.c).
        while read -r _ _ _ _ _ state _ path; do
            [[ $state == 03 && $path == "${1#unix:}" ]] && ((count += 1))
        done < /proc/net/unix
        printf '%s\n' "$count"
        return
    fi
    printf -v port '%04X' "${1##*:}"
    cat /proc/net/tcp /proc/net/tcp6 2> /dev/null | grep -cE "^ *[0-9]+: [0-9A-F]+:$port [0-9A-F]+:[0-9A-F]{4} 01 "
}

# Nobody asks any more when twice in a row no connection was seen: whatever routes here has been told not to.
drain() { # LISTENER SECONDS [UNIT]
    local -i deadline=$((SECONDS + $2)) began=$SECONDS told=$SECONDS none=0 count
    while :; do
        count=$(connections "$1")
        ((count == 0)) && ((none += 1)) || none=0
        ((none < 2)) || return 0
        if ((SECONDS >= deadline)); then
            complain "$count requests at $1 have not ended after $2 s; they are cut off"
            return 0
        fi
        if [[ -n ${3-} ]] && ((SECONDS - told >= 3)); then
            told=$SECONDS
            answer waiting "$3" "$((SECONDS - began)) s: until $count requests have ended (at most $2 s)"
        fi
        sleep 0.2
    done
}

stop_unit() { # UNIT DISABLE
    systemctl stop -- "$1" || { explain "$1"; return 1; }
    [[ $2 == disable ]] && systemctl disable --quiet -- "$1" 2> /dev/null
    case $(property "$1" ActiveState) in
        inactive | failed) systemctl reset-failed -- "$1" 2> /dev/null; return 0 ;;
    esac
    complain "$1 was stopped and is still $(property "$1" ActiveState)"
    return 1
}
