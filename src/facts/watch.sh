# What only a drift run asks (request lines `watch WHAT ARGUMENTS`). Follows facts.sh in the same exec, needs what
# that defines, and writes nothing to the host either. A line of the answer is `watched WHAT FIELDS`.

probe_watched() {
    local entry what
    local -a fields=()
    watch_record
    watch_units
    for entry in "${watches[@]}"; do
        IFS=$'\t' read -r -a fields <<< "$entry"
        what=${fields[0]-}
        case $what in
            owned) watch_owned "${fields[@]:1}" ;;
            packages) watch_packages ;;
            keys) watch_keys "${fields[@]:1}" ;;
            venv) watch_venv "${fields[@]:1}" ;;
            redis) watch_redis "${fields[@]:1}" ;;
            login) watch_login "${fields[@]:1}" ;;
            certificate) watch_certificate "${fields[@]:1}" ;;
            *) say error "request: unknown thing to watch $what"; return 1 ;;
        esac
    done
}

watched() { say watched "$@"; }

# Names that a person on the host chose: nothing but printable characters of them travels.
plain() { # TEXT
    local text=${1//[![:print:]]/?}
    printf %s "${text:0:200}"
}

# The last apply that wrote anything down.
watch_record() {
    [[ -e $state/record ]] && watched applied "$(stat --printf %.6Y -- "$state/record")"
    return 0
}

# Drop-ins with the names of what they set (never the values: a drop-in can hold a password), and processes that
# still run a program or library whose file was replaced.
watch_units() {
    ((${#units[@]})) || return 0
    local line unit='' pid='' path drop_ins='' keys old
    local -a more=()
    local -A shown=()
    [[ -n $pg_role ]] && more=('postgresql@*.service')
    while IFS= read -r line; do
        case $line in
            Id=*) unit=${line#*=} ;;
            MainPID=*) pid=${line#*=} ;;
            DropInPaths=*) drop_ins=${line#*=} ;;
            '')
                for path in $drop_ins; do
                    [[ $path != /usr/lib/* && $path != /lib/* && -f $path && -z ${shown[$path]-} ]] || continue
                    shown[$path]=1
                    keys=$(grep -oE '^[A-Z][A-Za-z]*[[:space:]]*=' -- "$path" | tr -d ' =\t' | sort -u | tr '\n' ' ')
                    watched drop_in "$(plain "$path")" "$(stat --printf %.6Y -- "$path")" "${keys% }"
                done
                if [[ ${pid:-0} != 0 ]]; then
                    old=$(readlink -- "/proc/$pid/exe")
                    [[ $old == *' (deleted)' ]] || old=$(grep -m1 -oE '/[^ ]*\.so[.0-9]* \(deleted\)$' "/proc/$pid/maps" 2> /dev/null)
                    # Seen from outside of the process' own mounts, a replaced file may have lost its path.
                    [[ $old == '/ (deleted)' ]] && old=$(< "/proc/$pid/comm")
                    [[ -n $old ]] && watched stale "$unit" "$(plain "${old%' (deleted)'}")"
                fi
                unit='' pid='' drop_ins=''
                ;;
        esac
    done < <(systemctl show --property=Id,MainPID,DropInPaths -- "${units[@]}" "${more[@]}" 2> /dev/null; echo)
}

# Synapse processes with this deployment's configuration, whoever started them, and units of ours by name.
watch_owned() { # ROOT PREFIX
    local file pid unit line stat app here
    here=$(readlink /proc/$$/ns/pid)
    local -a words=() fields=()
    while IFS= read -r file; do
        pid=${file//[!0-9]/}
        # What runs in a container here is not this host's.
        [[ $(readlink -- "/proc/$pid/ns/pid") == "$here" ]] || continue
        mapfile -d '' -t words 2> /dev/null < "$file"
        [[ "${words[*]}" == *"$1/"* ]] || continue
        app=''
        for line in "${words[@]}"; do
            case $line in synapse.app.* | */synapse_homeserver | */synapse_worker) app=$line; break ;; esac
        done
        [[ -n $app ]] || continue
        unit=$(sed -nE '/^(0:|[0-9]+:name=systemd):/s/.*\///p' "/proc/$pid/cgroup" 2> /dev/null | tail -n 1)
        read -r stat 2> /dev/null < "/proc/$pid/stat" || continue
        read -r -a fields <<< "${stat##*) }"
        watched process "$pid" "$(plain "$unit")" "${fields[19]}" "$(plain "${app##*/} ${words[-1]}")"
    done < <(grep -lsa 'synapse[._]' /proc/[0-9]*/cmdline)
    while read -r unit line app _; do
        watched unit "$(plain "$unit")" "$app"
    done < <(systemctl list-units --all --plain --no-legend --full "$2_generic_worker@*.service" "$2_media@*.service" 2> /dev/null)
    for file in /etc/systemd/system/"$2".target.wants/*; do
        watched wanted "$(plain "${file##*/}")"
    done
}

# When each package's files were last put in place, and whether it is on hold.
watch_packages() {
    ((${#packages[@]})) || return 0
    local name want file
    while IFS=$'\t' read -r name want; do
        for file in /var/lib/dpkg/info/"$name".list /var/lib/dpkg/info/"$name":*.list; do
            [[ -e $file ]] && watched package "${name%%:*}" "$(stat --printf %.6Y -- "$file")" "$want"
        done
    done < <(dpkg-query --show --showformat='${binary:Package}\t${db:Status-Want}\n' -- "${packages[@]}" 2> /dev/null)
}

# When the admin's own YAML files last changed.
watch_keys() { # FOLDER
    local file
    for file in "$1"/*.yaml; do
        [[ -f $file ]] && watched stamp "$(plain "$file")" "$(stat --printf %.6Y -- "$file")"
    done
}

# A sealed venv: files touched since are hashed and compared with what pip wrote down; what pip never put there and
# what is gone is named. Reads only names, unless a file is younger than the seal.
watch_venv() { # PATH
    local seal=$1/.synprov-complete site path sum hash file
    local -i said=0
    site=$(printf '%s\n' "$1"/lib/python3*/site-packages)
    [[ -e $seal && -d $site ]] || return 0
    cd -- "$site" || return 0
    local -A younger=() listed=()
    local -a suspects=() rows=() listings=(*.dist-info/RECORD) hex=()
    while IFS= read -r -d '' path; do younger[${path#./}]=1; done \
        < <(find . ../../../bin -name __pycache__ -prune -o -type f ! -name '*.pyc' -newercm "$seal" -print0)
    ((${#listings[@]})) && mapfile -t rows < <(sed -nE 's/\r$//; s/^([^",]+),(sha256=([A-Za-z0-9_-]{43}))?,.*$/\1\t\3/p' -- "${listings[@]}")
    for file in "${rows[@]}"; do
        path=${file%%$'\t'*} hash=${file#*$'\t'}
        listed[$path]=$hash
        if [[ -n ${younger[$path]-} && -n $hash ]]; then suspects+=("$path")
        elif [[ ! -e $path && $path != *.pyc ]]; then
            ((said++ < 20)) && watched venv "$1" gone 0 "$(plain "$path")"
        fi
    done
    if ((${#suspects[@]})); then
        # pip writes base64 without padding, sha256sum hexadecimal.
        mapfile -t hex < <(for path in "${suspects[@]}"; do printf '%s=\n' "${listed[$path]}"; done | tr -- '-_' '+/' | base64 -d | od -An -v -tx1 -w32 | tr -d ' ')
        local -A sums=()
        while read -r sum path; do sums[$path]=$sum; done < <(printf '%s\0' "${suspects[@]}" | xargs -0 sha256sum -- 2> /dev/null)
        for file in "${!suspects[@]}"; do
            path=${suspects[file]}
            [[ ${sums[$path]-} == "${hex[file]-}" ]] && continue
            ((said++ < 20)) && watched venv "$1" edited "$(stat --printf %.6Z -- "$path" 2> /dev/null || echo 0)" "$(plain "$path")"
        done
    fi
    for path in "${!younger[@]}"; do
        # venv's own scripts are no package's.
        [[ -n ${listed[$path]+x} || $path == ../../../bin/[Aa]ctivate* ]] && continue
        ((said++ < 20)) && watched venv "$1" added "$(stat --printf %.6Z -- "$path")" "$(plain "$path")"
    done
}

# What Redis runs with, where that is not what its file says. Values of passwords are compared here.
watch_redis() { # ADDRESS PORT FILE PASSWORD-FILE
    local name value password='' i
    local -a rows=()
    local -A live=()
    command -v redis-cli > /dev/null && [[ -r $3 ]] || return 0
    [[ -r $4 ]] && password=$(< "$4")
    mapfile -t rows < <(REDISCLI_AUTH=$password timeout 10 redis-cli -h "$1" -p "$2" CONFIG GET '*' 2> /dev/null)
    if ((${#rows[@]} < 20)); then watched redis - - refused; return 0; fi
    for ((i = 0; i + 1 < ${#rows[@]}; i += 2)); do live[${rows[i]}]=${rows[i + 1]}; done
    while read -r name value; do
        value=${value#\"} value=${value%\"}
        if [[ $name == requirepass ]]; then
            [[ ${live[$name]-} == "$password" ]] || watched redis "$name" 'the value of its file' 'another value'
        # Whoever wrote another password into the file would not want it shown either.
        elif [[ $name == *pass* || $name == *auth* || $name == *user* || $name == *acl* ]]; then continue
        elif [[ ${live[$name]+x} && ${live[$name]} != "$value" ]]; then
            watched redis "$name" "$(plain "$value")" "$(plain "${live[$name]}")"
        fi
    done < <(grep -E '^[a-z]' -- "$3")
}

# Whether PostgreSQL takes the password that Synapse has.
watch_login() { # ADDRESS PORT ROLE DATABASE PASSWORD-FILE
    local psql said
    local -a found=(/usr/lib/postgresql/*/bin/psql)
    psql=${found[-1]-psql}
    [[ -r $5 ]] || return 0
    if said=$(PGPASSWORD=$(< "$5") PGCONNECT_TIMEOUT=10 LC_ALL=C "$psql" -XAtqw -h "$1" -p "$2" -U "$3" -c 'select 1' "$4" 2>&1); then
        watched login taken
    elif [[ $said == *'password authentication failed'* ]]; then watched login refused
    else watched login unknown; fi
}

# The leaf of a certificate chain, which is public; never anything else of the file.
watch_certificate() { # PATH
    local leaf
    if [[ ! -e $1 ]]; then watched certificate "$1" 0 -; return 0; fi
    leaf=$(sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/{p;/^-----END/q}' -- "$1" | head -c 65536 | base64 -w0)
    watched certificate "$1" "$(stat --dereference --printf %.6Y -- "$1")" "${leaf:--}"
}
