# The second half of the script of an apply (facts.sh is the first). Takes the lock, probes again,
# then reads framed steps from standard input and does them one at a time:
#     step ID CODE-LENGTH PAYLOAD-LENGTH <newline> CODE PAYLOAD
# CODE calls the functions below with quoted words; PAYLOAD (contents, record lines, secrets) is kept in a
# root-only file on tmpfs while the step runs. Between steps it stops at the end of its input, or when
# nothing, not even a heartbeat, came for 60 s. Whatever a step starts inherits the lock.

run=/run/synprov
stage=$run/stage
lock=''
out=''

complain() {
    printf 'synprov: %s\n' "$*"
}

answer() { # FIELD...: tells the controller something while a step runs
    local IFS=$'\t'
    printf '%s\n' "$*" >&"$out"
}

take_lock() {
    mkdir -p -m 0700 -- $run || { say error "cannot make $run"; return 1; }
    [[ -O $run && ! -L $run ]] || { say error "$run is not root's own"; return 1; }
    exec {lock}<> $run/lock || { say error "cannot open $run/lock"; return 1; }
    if ! flock --nonblock "$lock"; then
        say locked "$(head -c 300 $run/lock | head -n 1)"
        return 1
    fi
    printf '%s\n' "$who" > $run/lock
}

prepare_state() {
    mkdir -p -m 0700 -- /var/lib/synprov "$state" "$state/redacted" || return 1
    [[ -O $state && ! -L $state && -O /var/lib/synprov && ! -L /var/lib/synprov ]] || return 1
    if [[ ! -s $state/salt ]]; then
        (head -c 32 /dev/urandom | sha256sum | head -c 64 > "$state/salt.new") && sync "$state/salt.new" && mv -fT "$state/salt.new" "$state/salt" || return 1
    fi
    # A line that lost its end to a power cut must not swallow the next one.
    if [[ -s $state/record && -n $(tail -c 1 "$state/record") ]]; then printf '\n' >> "$state/record"; fi
    rm -rf -- $stage
}

serve() {
    # Caught, not ignored: what a step starts gets the default back.
    trap : PIPE HUP INT TERM
    take_lock || return 0
    prepare_state || { say error "cannot write $state"; return 0; }
    exec {out}>&1
    (
        exec {lock}>&- {out}>&-
        while kill -0 $$ 2> /dev/null; do
            printf 'beat\n' || exit
            # A sleep that outlives us must not hold the connection open.
            sleep 5 > /dev/null
        done
    ) < /dev/null 2> /dev/null &
    local heart=$!
    read_digests
    read_record
    probe
    serve_steps
    kill "$heart" 2> /dev/null
    rm -rf -- $stage $run/payload
}

serve_steps() {
    local word id code_length payload_length code status
    while read -r -t 60 word id code_length payload_length; do
        case $word in
            beat) continue ;;
            step) ;;
            *) break ;;
        esac
        code=$(head -c "$code_length"; printf .)
        code=${code%.}
        ((${#code} == code_length)) || break
        head -c "$payload_length" > $run/payload
        [[ $(stat --printf %s $run/payload) == "$payload_length" ]] || break
        # The controller may be gone; a step that has begun finishes all the same.
        (trap : PIPE; eval "$code") < /dev/null 2>&1 | (
            trap '' PIPE
            while IFS= read -r word || [[ -n $word ]]; do printf 'log\t%s\t%s\n' "$id" "${word:0:600}" 2> /dev/null; done
        )
        status=${PIPESTATUS[0]}
        rm -f -- $run/payload
        say 'done' "$id" "$status"
    done
}

slice() { # OFFSET LENGTH: a part of the payload
    tail -c "+$(($1 + 1))" $run/payload | head -c "$2"
}

record_append() { # OFFSET LENGTH
    slice "$1" "$2" >> "$state/record" && sync "$state/record"
}

# ---------------------------------------------------------------- files

declare -A safe=()

# Root may only write where nobody else can redirect the path.
safe_directory() { # DIRECTORY [quiet]
    local directory uid permissions
    [[ -n ${safe[$1]-} ]] && return 0
    directory=$(realpath -e -- "$1") || { complain "$1 does not exist"; return 1; }
    while :; do
        read -r uid permissions < <(stat --printf '%u %a\n' -- "$directory")
        if [[ $uid != 0 ]] || ((8#$permissions & 8#022)); then
            [[ ${2-} == quiet ]] || complain "$directory belongs to somebody else or others may write there; nothing is written below it"
            return 1
        fi
        [[ $directory == / ]] && break
        directory=${directory%/*}
        directory=${directory:-/}
    done
    safe[$1]=1
}

# Some packages give their configuration directory to their own user (/etc/redis). A file of that user's
# is then written by that user: root is led nowhere by what stands there.
owner_writes() { # DIRECTORY OWNER: whether that is how it is done
    [[ $2 != root && $(stat --printf %U -- "$1") == "$2" ]] && ! safe_directory "$1" quiet
}

as_owner() { # OWNER GROUP SCRIPT ARGUMENT...
    local owner=$1 group=$2 script=$3
    shift 3
    (cd / && setpriv --reuid="$owner" --regid="$group" --init-groups -- bash -c "$script" as_owner "$@")
}

put_file() { # PATH OWNER GROUP MODE < CONTENT: never partial, never wider than its mode, never through a link
    local directory=${1%/*} temporary
    safe_directory "$directory" || return 1
    if [[ -d $1 && ! -L $1 ]]; then complain "$1 is a directory"; return 1; fi
    temporary=$(mktemp -- "$directory/.${1##*/}.synprov-XXXXXXXXXX") || return 1
    if cat > "$temporary" && chown -- "$2:$3" "$temporary" && chmod -- "$4" "$temporary" \
        && sync -- "$temporary" && mv -fT -- "$temporary" "$1" && sync -- "$directory"; then
        return 0
    fi
    rm -f -- "$temporary"
    return 1
}

make_directory() { # PATH OWNER GROUP MODE
    local parent=${1%/*}
    if [[ -L $1 || (-e $1 && ! -d $1) ]]; then complain "$1 is no directory"; return 1; fi
    # Below a directory of the same owner, that user does it: root is led nowhere by what stands there.
    if owner_writes "$parent" "$2"; then
        as_owner "$2" "$3" '[[ -d $1 ]] || mkdir -m 0700 -- "$1"; chmod -- "$2" "$1"' "$1" "$4"
        return
    fi
    if [[ ! -d $1 ]]; then
        safe_directory "$parent" || return 1
        mkdir -m 0700 -- "$1" || return 1
    fi
    chown --no-dereference -- "$2:$3" "$1" && chmod -- "$4" "$1"
}

stage_file() { # SET PATH OWNER GROUP MODE OFFSET LENGTH
    local target=$stage/$1$2
    (umask 022; mkdir -p -- "${target%/*}") || return 1
    rm -f -- "$target"
    : > "$target" && chown -- "$3:$4" "$target" && chmod -- "$5" "$target" && slice "$6" "$7" >> "$target"
}

# Remembers a file with secrets: its digest (never leaves the host) and its text without them.
remember_secretful() { # SET PATH REDACTED-DIGEST OFFSET LENGTH
    local sum
    sum=$(sha256sum < "$stage/$1$2") || return 1
    slice "$4" "$5" > "$state/redacted/.new" && mv -fT "$state/redacted/.new" "$state/redacted/${2//\//%}" \
        && printf '%s\t%s\t%s\n' "$2" "${sum%% *}" "$3" >> "$state/digests" && sync "$state/digests"
}

swap() { # SET PATH...: puts staged files in place; each rename is atomic, all contents are on disk before the first
    local set=$1 path temporary
    shift
    local -a temporaries=() directories=()
    for path in "$@"; do
        if [[ -d $path && ! -L $path ]]; then complain "$path is a directory"; return 1; fi
        if owner_writes "${path%/*}" "$(stat --printf %U -- "$stage/$set$path")"; then continue; fi
        safe_directory "${path%/*}" || return 1
        rm -f -- "${path%/*}/.${path##*/}".synprov-??????????
    done
    local owner group permissions
    local -a ours=()
    for path in "$@"; do
        read -r owner group permissions < <(stat --printf '%U %G %a\n' -- "$stage/$set$path")
        if owner_writes "${path%/*}" "$owner"; then
            as_owner "$owner" "$group" 'umask 077
                rm -f -- "${1%/*}/.${1##*/}".synprov-??????????
                new=$(mktemp -- "${1%/*}/.${1##*/}.synprov-XXXXXXXXXX") || exit 1
                cat > "$new" && chmod -- "$2" "$new" && sync -- "$new" && mv -fT -- "$new" "$1" && sync -- "${1%/*}" && exit
                rm -f -- "$new"
                exit 1' "$path" "$permissions" < "$stage/$set$path" || return 1
            continue
        fi
        temporary=$(mktemp -- "${path%/*}/.${path##*/}.synprov-XXXXXXXXXX") || { rm -f -- "${temporaries[@]}"; return 1; }
        temporaries+=("$temporary")
        directories+=("${path%/*}")
        ours+=("$path")
        cp --preserve=mode,ownership -- "$stage/$set$path" "$temporary" || { rm -f -- "${temporaries[@]}"; return 1; }
    done
    ((${#ours[@]})) || return 0
    sync -- "${temporaries[@]}" || { rm -f -- "${temporaries[@]}"; return 1; }
    local -i i=0
    for path in "${ours[@]}"; do
        mv -fT -- "${temporaries[i]}" "$path" || { rm -f -- "${temporaries[@]:i}"; return 1; }
        i+=1
    done
    sync -- "${directories[@]}"
}

remove_file() { # PATH KEEP-A-COPY
    [[ -e $1 || -L $1 ]] || return 0
    local owner=''
    [[ -L $1 ]] || owner=$(stat --printf %U -- "$1")
    if [[ -n $owner ]] && owner_writes "${1%/*}" "$owner"; then :; else
        safe_directory "${1%/*}" || return 1
        owner=root
    fi
    if [[ $2 == copy ]]; then
        mkdir -p -m 0700 -- "$state/removed" && cp --archive --no-dereference --backup=numbered -- "$1" "$state/removed/${1//\//%}" || return 1
        complain "somebody had changed $1; a copy is $state/removed/${1//\//%}"
    fi
    if [[ $owner == root ]]; then rm -f -- "$1"; else as_owner "$owner" "$owner" 'rm -f -- "$1"' "$1"; fi
}

remove_directory() { # PATH
    rmdir --ignore-fail-on-non-empty -- "$1" 2> /dev/null
    return 0
}

raise_directive() { # PATH NAME VALUE
    local owner group permissions
    grep -qE "^[[:space:]]*$2[[:space:]]+[0-9]+" -- "$1" || { complain "$1 has no line \"$2 NUMBER;\" to raise"; return 1; }
    read -r owner group permissions < <(stat --printf '%U %G %a\n' -- "$1")
    sed -E "s/^([[:space:]]*$2[[:space:]]+)[0-9]+/\1$3/" -- "$1" | put_file "$1" "$owner" "$group" "$permissions"
}

# ---------------------------------------------------------------- validation

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
    in_place nginx "$@" -- nginx -t -q
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

synapse_check='
import json, os, sys
from synapse.config.homeserver import HomeServerConfig
import yaml
bad = 0
for name, paths in json.loads(sys.argv[1]):
    arguments = [word for path in paths for word in ("--config-path", path)]
    try:
        config = HomeServerConfig.load_config("synprov", arguments)
    except BaseException as error:
        bad = 1
        print(f"{name}: {type(error).__name__}: {error}")
        continue
    log = config.worker.worker_log_config or config.logging.log_config
    if not log or not os.path.isfile(log):
        bad = 1
        print(f"{name}: log configuration {log} does not exist")
    else:
        try:
            yaml.safe_load(open(log))
        except Exception as error:
            bad = 1
            print(f"{name}: log configuration {log}: {error}")
sys.exit(bad)
'

validate_synapse() { # USER PYTHON PROCESSES-AS-JSON DIRECTORY...
    local user=$1 python=$2 processes=$3
    shift 3
    in_place synapse "$@" -- setpriv --reuid="$user" --regid="$user" --init-groups -- "$python" -I -c "$synapse_check" "$processes"
}

# ---------------------------------------------------------------- packages, users, secrets

install_packages() { # PACKAGE...
    local unit status
    local -a held=()
    export DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1
    local -a apt=(apt-get --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold)
    umask 022
    # A package starts its service with its own configuration, on ports that may be taken: not now.
    for unit in nginx.service redis-server.service; do
        [[ $(systemctl show --property=LoadState --value -- "$unit") == not-found ]] && held+=("$unit")
    done
    ((${#held[@]})) && systemctl mask --runtime --quiet -- "${held[@]}" 2> /dev/null
    if [[ -z $(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2> /dev/null) ]]; then
        "${apt[@]}" update
    fi
    "${apt[@]}" install -- "$@" || { "${apt[@]}" update && "${apt[@]}" install -- "$@"; }
    status=$?
    ((${#held[@]})) && systemctl unmask --runtime --quiet -- "${held[@]}" 2> /dev/null
    for unit in "${held[@]}"; do
        # Nobody asked for the package's own Redis instance; ours is an instance of redis-server@.
        [[ $unit == redis-server.service && -e /lib/systemd/system/$unit ]] && systemctl disable --quiet -- "$unit" 2> /dev/null
    done
    return $status
}

create_user() { # NAME HOME
    getent passwd "$1" > /dev/null || useradd --system --user-group --home-dir "$2" --no-create-home --shell /usr/sbin/nologin -- "$1"
}

revision() { # NAME PATH: tells the controller the host's own hash of a secret
    local sum salted
    sum=$(sha256sum < "$2") || return 1
    salted=$(printf %s "$(< "$state/salt")${sum%% *}" | sha256sum)
    answer revision "$1" "${salted:0:16}"
}

generate_secret() { # NAME PATH OWNER GROUP MODE SHAPE
    local random id
    if [[ -e $2 || -L $2 ]]; then complain "$2 exists; a secret is never overwritten"; return 1; fi
    random=$(head -c 32 /dev/urandom | base64 -w0)
    random=${random%%=*}
    if [[ $6 == signing_key ]]; then
        id=$(head -c 12 /dev/urandom | base64 -w0)
        id=${id//[^A-Za-z]/}
        printf 'ed25519 a_%s %s\n' "${id:0:4}" "$random" | put_file "$2" "$3" "$4" "$5" || return 1
    else
        random=${random//+/-}
        printf %s "${random//\//_}" | put_file "$2" "$3" "$4" "$5" || return 1
    fi
    revision "$1" "$2"
}

put_secret() { # NAME PATH OWNER GROUP MODE OFFSET LENGTH
    slice "$6" "$7" | put_file "$2" "$3" "$4" "$5" && revision "$1" "$2"
}

fetch_secret() { # NAME PATH
    [[ -f $2 && ! -L $2 ]] || { complain "$2 is gone"; return 1; }
    answer secret "$1" "$(base64 -w0 < "$2")"
}

# ---------------------------------------------------------------- Python

pip() { # VENV ARGUMENT...
    local venv=$1
    shift
    mkdir -p -m 0755 -- /var/cache/synprov
    "$venv/bin/python" -m pip --no-input --disable-pip-version-check --cache-dir /var/cache/synprov/pip "$@"
}

new_venv() { # PATH: an empty environment; what an earlier attempt left is removed
    umask 022
    command -v python3 > /dev/null || { complain 'there is no python3'; return 1; }
    if [[ -e $1 && ! -e $1/.synprov-complete ]]; then rm -rf -- "$1"; fi
    [[ -e $1/.synprov-complete ]] && return 0
    mkdir -p -- "${1%/*}" && safe_directory "${1%/*}" && python3 -m venv -- "$1" || return 1
    # `--report` came with pip 22.2 (Ubuntu 22.04 has 22.0).
    local version
    version=$("$1/bin/python" -c 'import pip; print("%d%02d" % tuple(int(n) for n in pip.__version__.split(".")[:2]))')
    ((version >= 2202)) || pip "$1" install --quiet --upgrade 'pip>=23'
}

# The set of the lock for this Python if there is one, with hashes. Else pip chooses, within the constraints
# and, if another Python has a set already, the same versions; what it chose goes into the lock.
fill_venv() { # VENV REQUIREMENTS-OFFSET LENGTH CONSTRAINTS-OFFSET LENGTH [TAG OFFSET LENGTH]...
    local venv=$1 tag
    umask 022
    tag=$("$venv/bin/python" -I -c 'import platform, sys; print("cp%d%d-%s" % (*sys.version_info[:2], platform.machine()))') || return 1
    if [[ -e $venv/.synprov-complete ]]; then
        [[ ! -e $venv/.synprov-report.json ]] || tell_resolved "$venv" "$tag"
        return
    fi
    slice "$2" "$3" > "$venv/.synprov-requirements.txt"
    slice "$4" "$5" > "$venv/.synprov-constraints.txt"
    shift 5
    local -i others=0
    while (($#)); do
        if [[ $1 == "$tag" ]]; then
            slice "$2" "$3" > "$venv/.synprov-requirements.txt"
            pip "$venv" install --progress-bar off --no-deps --require-hashes --requirement "$venv/.synprov-requirements.txt" && return 0
            complain 'the lock names a package that is gone or has another hash; see above'
            return 1
        fi
        if ((!others)); then
            slice "$2" "$3" | grep -oE '^[^ ]+==[^ ]+' >> "$venv/.synprov-constraints.txt"
            others=1
        fi
        shift 3
    done
    pip "$venv" install --progress-bar off --prefer-binary --report "$venv/.synprov-report.json" \
        --requirement "$venv/.synprov-requirements.txt" --constraint "$venv/.synprov-constraints.txt" \
        && tell_resolved "$venv" "$tag"
}

tell_resolved() { # VENV TAG: what pip chose, with hashes
    local line
    local -a lines=()
    mapfile -t lines < <("$1/bin/python" -I -c '
import json, sys
for item in sorted(json.load(open(sys.argv[1]))["install"], key=lambda item: item["metadata"]["name"].lower()):
    hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
    print("%s==%s --hash=sha256:%s" % (item["metadata"]["name"].lower(), item["metadata"]["version"], hashes["sha256"]))
' "$1/.synprov-report.json")
    ((${#lines[@]})) || { complain 'pip left no report of what it installed'; return 1; }
    for line in "${lines[@]}"; do answer resolved "$2" "$line"; done
}

seal_venv() { # PATH: imported once as a test, then never changed again
    local listing dists
    umask 022
    "$1/bin/python" -I -c 'import synapse.app.homeserver, synapse.app.generic_worker, psycopg2, txredisapi' \
        || { complain "Synapse in $1 cannot be imported"; return 1; }
    touch -- "$1/.synprov-complete" && sync --file-system -- "$1" || return 1
    dists=("$1"/lib/python3*/site-packages/*.dist-info)
    listing=$(printf '%s\n' "${dists[@]##*/}" | sha256sum)
    answer venv "$1" "${listing%% *}"
}

# ---------------------------------------------------------------- PostgreSQL

wait_for_postgresql() {
    local -i deadline=$((SECONDS + 120))
    until [[ $(as_postgres 2> /dev/null <<< 'select 1') == 1 ]]; do
        ((SECONDS < deadline)) || { complain 'PostgreSQL does not answer on its local socket'; systemctl --no-pager --lines 5 status 'postgresql*' 2>&1; return 1; }
        sleep 0.2
    done
}

postgresql_role() { # ROLE PASSWORD-FILE: the password travels on standard input only, and into no log
    local password
    password=$(< "$2") || return 1
    password=${password//\\/\\\\}
    password=${password//\'/\'\'}
    as_postgres -v role="$1" << SQL
set log_statement = 'none'; set log_min_duration_statement = -1; set log_min_error_statement = 'panic';
select format('create role %I login', :'role') where not exists (select from pg_roles where rolname = :'role') \gexec
alter role :"role" login password E'$password';
SQL
}

postgresql_setting() { # NAME VALUE
    as_postgres -v value="$2" <<< "alter system set $1 = :'value';"
}

postgresql_database() { # DATABASE ROLE
    as_postgres -v db="$1" -v role="$2" << 'SQL'
select format('create database %I encoding %L lc_collate %L lc_ctype %L template template0 owner %I', :'db', 'UTF8', 'C', 'C', :'role')
where not exists (select from pg_database where datname = :'db') \gexec
SQL
}

postgresql_peers() { # ROLE DATABASE CIDR...: our block, before the rules of others, since the first match wins
    local file role=$1 database=$2 peer block='' mark
    shift 2
    file=$(as_postgres <<< 'show hba_file') || return 1
    mark="synprov $database"
    for peer in "$@"; do block+="host \"$database\" \"$role\" $peer scram-sha-256"$'\n'; done
    [[ -n $block ]] && block="# BEGIN $mark"$'\n'"$block# END $mark"$'\n'
    # As postgres, who owns the directory: root follows no path there.
    printf %s "$block" | (cd / && setpriv --reuid=postgres --regid=postgres --init-groups -- bash -c '
        umask 077
        new=$(mktemp -- "$1.XXXXXXXX") && cat > "$new" && sed "/^# BEGIN $2\$/,/^# END $2\$/d" -- "$1" >> "$new" \
            && chmod --reference="$1" -- "$new" && sync -- "$new" && mv -fT -- "$new" "$1"' peers "$file" "$mark") || return 1
    as_postgres <<< 'select pg_reload_conf()' > /dev/null
}

check_postgresql() { # USER PYTHON CONNINFO
    setpriv --reuid="$1" --regid="$1" --init-groups -- "$2" -I -c '
import sys, psycopg2
try:
    connection = psycopg2.connect(sys.argv[1])
except psycopg2.Error as error:
    sys.exit(f"synprov: cannot log in to the external PostgreSQL: {str(error).strip()}")
cursor = connection.cursor()
cursor.execute("select current_setting($$server_version_num$$)::int, pg_encoding_to_char(encoding), datcollate, datctype from pg_database where datname = current_database()")
version, encoding, collate, ctype = cursor.fetchone()
bad = []
if version < 140000: bad.append(f"its version is {version // 10000}, Synapse needs 14 or later")
if encoding != "UTF8": bad.append(f"the database has encoding {encoding}, Synapse needs UTF8")
if (collate, ctype) != ("C", "C"): bad.append(f"the database has locale {collate}/{ctype}, Synapse needs C (createdb --locale=C --template=template0)")
if bad: sys.exit("synprov: the external PostgreSQL does not fit: " + "; ".join(bad))
' "$3"
}

# ---------------------------------------------------------------- services

property() { # UNIT PROPERTY
    systemctl show --property="$2" --value -- "$1"
}

children() { # UNIT: PID@START of its worker processes
    local pid child stat
    local -a pids=() fields=() found=()
    pid=$(property "$1" MainPID)
    read -r -a pids < "/proc/$pid/task/$pid/children" 2> /dev/null
    for child in "${pids[@]}"; do
        read -r stat < "/proc/$child/stat" 2> /dev/null || continue
        read -r -a fields <<< "${stat##*) }"
        found+=("$child@${fields[19]}")
    done
    printf '%s\n' "${found[@]}" | sort | paste -sd ' '
}

# Splits ADDRESS:PORT, [ADDRESS]:PORT.
connects() { # ADDRESS:PORT
    local address=${1%:*} port=${1##*:}
    address=${address#[}
    timeout 3 bash -c 'exec 3<> "/dev/tcp/$0/$1"' "${address%]}" "$port" 2> /dev/null
}

healthy() { # ADDRESS:PORT
    local address=${1%:*} port=${1##*:}
    address=${address#[}
    timeout 5 bash -c 'exec 3<> "/dev/tcp/$0/$1" && printf "GET /health HTTP/1.0\r\nHost: synprov\r\n\r\n" >&3 && IFS= read -r line <&3 && [[ $line == *" 200 "* ]]' \
        "${address%]}" "$port" 2> /dev/null
}

# The process itself holds an established connection to that port (Redis): /health does not notice its absence.
connected() { # PID ADDRESS:PORT
    local port inodes
    printf -v port '%04X' "${2##*:}"
    inodes=$(find "/proc/$1/fd" -lname 'socket:*' -printf '%l\n' 2> /dev/null | grep -o '[0-9]*' | paste -sd '|')
    [[ -n $inodes ]] || return 1
    cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2> /dev/null | grep -qE "^ *[0-9]+: [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:$port 01 .* ($inodes) "
}

explain() { # UNIT: why it does not run, in its own last words
    complain "$1 is $(property "$1" ActiveState) ($(property "$1" SubState), result $(property "$1" Result)); its last lines:"
    journalctl --unit="$1" --lines=20 --no-pager --output=cat 2> /dev/null
    return 1
}

# Waits until a unit is active with another InvocationID than OLD and all conditions hold.
# Conditions are words KIND=VALUE: health=A:P listens=A:P redis=A:P reaches=A:P
await() { # UNIT OLD-INVOCATION DEADLINE-SECONDS CONDITION...
    local unit=$1 old=$2 condition value missing='' line state invocation pid restarts
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
            active) [[ $invocation != "$old" ]] && missing='' ;;
        esac
        if ((${restarts:-0} >= first + 2)); then
            complain "$unit ends again and again"
            explain "$unit"
            return 1
        fi
        if [[ -z $missing ]]; then
            for condition in "$@"; do
                value=${condition#*=}
                case $condition in
                    health=*) healthy "$value" || missing="GET http://$value/health answers 200" ;;
                    listens=*) connects "$value" || missing="$value listens" ;;
                    redis=*) connected "$pid" "$value" || missing="it is connected to Redis at $value" ;;
                    reaches=*) connects "$value" || missing="$value can be reached from this host" ;;
                esac
                [[ -n $missing ]] && break
            done
        fi
        if [[ -z $missing ]]; then
            answer started "$unit" "$invocation" "$(children "$unit" | tr ' ' '\n' | cut -d@ -f2 | sort -n | tail -n 1)"
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
        sleep 0.1
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
    systemctl start --no-block -- "$@"
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
            [[ $before == *" $word "* ]] || return 0
        done
        sleep 0.1
    done
    complain "$1 said that it reloaded, but no new worker process appeared; it goes on with the old configuration"
    [[ $1 == nginx.service ]] && tail -n 5 /var/log/nginx/error.log
    return 1
}

connections() { # PORT: established connections to a listener
    local port
    printf -v port '%04X' "$1"
    cat /proc/net/tcp /proc/net/tcp6 2> /dev/null | grep -cE "^ *[0-9]+: [0-9A-F]+:$port [0-9A-F]+:[0-9A-F]{4} 01 "
}

drain() { # PORT SECONDS
    local -i deadline=$((SECONDS + $2))
    while [[ $(connections "$1") != 0 ]] && ((SECONDS < deadline)); do sleep 0.2; done
    [[ $(connections "$1") == 0 ]] || complain "requests on port $1 have not ended after $2 s; stopping anyway"
    return 0
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

# ---------------------------------------------------------------- the end

finish() { # OFFSET LENGTH: the whole record, in one piece
    slice "$1" "$2" > "$state/record.new" && sync "$state/record.new" && mv -fT "$state/record.new" "$state/record" && sync "$state" || return 1
    if [[ -s $state/digests ]]; then
        # Only the last line of each path, and only of paths that still are.
        local path real redacted
        local -A last=()
        while IFS=$'\t' read -r path real redacted; do last[$path]=$real$'\t'$redacted; done < "$state/digests"
        for path in "${!last[@]}"; do
            [[ -e $path ]] && printf '%s\t%s\n' "$path" "${last[$path]}"
        done | sort > "$state/digests.new" && sync "$state/digests.new" && mv -fT "$state/digests.new" "$state/digests"
    fi
}
