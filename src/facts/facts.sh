# Sent to a host on standard input and run by the loader (loader.rs) after its digest was checked; the request is in
# $synprov_request then.
# Functions only; the loader calls synprov_main. Needs bash, coreutils, util-linux, findutils, grep, sed.
# Answers go to standard output as lines of tab-separated fields. Nothing is written to the host here.

declare -A ready=() want=() secretful=() known_unit=() reloads=() recorded=()
declare -a reaches=() paths=() units=() packages=() users=() venvs=() secrets=() directives=() settings=() folders=() watches=()
mode='' state='' nonce='' who='' pg_role='' pg_database='' script='' processes='' modules='' serving_user='' serving_python=''
generations='' generation=0

read_request() { # TEXT
    local line kind a b
    local -a lines=()
    split "$1"
    for line in "${lines[@]}"; do
        kind=${line%%$'\t'*} a='' b=''
        [[ $line != *$'\t'* ]] || a=${line#*$'\t'}
        [[ $a != *$'\t'* ]] || b=${a#*$'\t'} a=${a%%$'\t'*}
        case $kind in
            mode) mode=$a ;;
            state) state=$a ;;
            nonce) nonce=$a ;;
            who) who=$a ;;
            path) add_path "$b" "$a" ;;
            secretful) add_path "$b" "$a"; secretful[$b]=1 ;;
            unit) add_unit "$a" ;;
            reloads) add_unit "$a"; reloads[$a]=1 ;;
            package) packages+=("$a") ;;
            user) users+=("$a") ;;
            venv) venvs+=("$a") ;;
            secret) secrets+=("$a"$'\t'"$b"); add_path "$b" -; secretful[$b]=1 ;;
            directive) directives+=("$a"$'\t'"$b") ;;
            keys) folders+=("$b") ;;
            postgresql) pg_role=$a pg_database=$b ;;
            setting) settings+=("$a") ;;
            script) script=$a ;;
            processes) processes=$a ;;
            modules) modules=$a ;;
            serving) serving_user=$a serving_python=$b ;;
            generations) generations=$a ;;
            reaches) reaches+=("$a"$'\t'"$b") ;;
            ready) ready[$a]+=${b:+$b$'\t'} ;;
            watch) watches+=("$a"$'\t'"$b") ;;
            end) return 0 ;;
            *) say error "request: unknown line $kind"; return 1 ;;
        esac
    done
    say error 'request: cut short'
    return 1
}

add_path() { # PATH WANTED-DIGEST
    [[ -n ${want[$1]-} ]] && return
    want[$1]=$2
    paths+=("$1")
}

add_unit() {
    [[ -n ${known_unit[$1]-} ]] && return
    known_unit[$1]=1
    units+=("$1")
}

# What the record lists is probed too, so that things that left the inventory are seen.
read_record() {
    local -a lines=() notes=()
    local line address
    [[ -r $state/record ]] || return 0
    mapfile -t lines < "$state/record"
    for line in "${lines[@]}"; do
        note record "$line"
        address=${line%%$'\t'*}
        [[ $address == synprov && $line =~ \"generation\":([0-9]+) ]] && generation=${BASH_REMATCH[1]}
        [[ $address =~ ^[^/]+/[^/]+/([a-z_]+):(.+)$ ]] || continue
        case ${BASH_REMATCH[1]} in
            file) recorded[${BASH_REMATCH[2]}]=$line; add_path "${BASH_REMATCH[2]}" - ;;
            directory) add_path "${BASH_REMATCH[2]}" - ;;
            service)
                add_unit "${BASH_REMATCH[2]}"
                [[ $line == *'"reload":"true"'* ]] && reloads[${BASH_REMATCH[2]}]=1
                ;;
        esac
    done
    tell
}

probe_system() {
    local key value candidate up rest before now
    local -i tries
    local -a notes=()
    # Both clocks at one moment: on a busy host there may be more between them than between a renewal and a reload.
    for ((tries = 0; tries < 20; tries++)); do
        before=$EPOCHREALTIME
        read -r up rest < /proc/uptime || break
        now=$EPOCHREALTIME
        ((${now/./} - ${before/./} >= 2000)) || break
    done
    note now "${now:-$before}"
    [[ -z $up ]] || note uptime "$up"
    note euid "$EUID"
    note machine "$HOSTTYPE"
    note bash "$BASH_VERSION"
    if [[ -r /etc/os-release ]]; then
        while IFS='=' read -r key value; do
            value=${value#[\"\']}
            case $key in ID | VERSION_ID | PRETTY_NAME) note os "$key" "${value%[\"\']}" ;; esac
        done < /etc/os-release
    fi
    [[ -d /run/systemd/system ]] && note systemd running
    for candidate in /usr/bin/python3.*; do
        [[ /usr/bin/python3 -ef $candidate ]] && { note python "${candidate##*/}"; break; }
    done
    tell
}

probe_units() {
    ((${#units[@]})) || return 0
    local -a lines=() under=() also=() notes=()
    local -A runs=()
    local text line unit='' pid='' id='' n=0
    # One more systemctl takes as long as everything else about units: clusters that run come with the first one.
    [[ -z ${known_unit[postgresql.service]-} ]] || also=('postgresql@*.service')
    text=$(systemctl show --timestamp=us+utc --property=Id,Wants,LoadState,ActiveState,SubState,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload,MainPID,ExecMainStartTimestamp,InvocationID,Result,NRestarts,StateChangeTimestamp,MemoryCurrent -- "${units[@]}" "${also[@]}" 2> /dev/null)
    # An empty line ends each unit.
    split "${text//$'\n\n'/$'\n.\n'}"
    if ((${#also[@]})); then
        for line in "${lines[@]}"; do
            case $line in
                Id=*) id=${line#*=} ;;
                ActiveState=active | ActiveState=reloading) runs[${id:-?}]=1 ;;
            esac
        done
    fi
    note unit "${units[0]}"
    for line in "${lines[@]}" .; do
        if [[ $line == . ]]; then
            unit=${units[n]-}
            [[ -n ${reloads[$unit]-} && ${pid:-0} != 0 ]] && probe_children "$pid"
            ((${#under[@]})) && probe_clusters "${under[@]}"
            n=$((n + 1)) pid='' under=()
            # Behind the units stand the clusters.
            ((n < ${#units[@]})) || break
            note unit "${units[n]}"
            continue
        fi
        [[ $line == MainPID=* ]] && pid=${line#*=}
        if [[ $line == Wants=* ]]; then
            clusters "${units[n]-}" "${line#*=}"
            continue
        fi
        note property "$line"
    done
    tell
}

# Debian's postgresql.service is active whether or not a cluster runs: the clusters that it starts are
# postgresql@VERSION-NAME.service. Other units may want them too, and have a state of their own.
# It is asked for every unit, and a subshell takes a millisecond: the answer is the caller's array `under`.
clusters() { # UNIT WANTS: those that it is the umbrella of
    local -a all=()
    local one
    under=()
    [[ $1 == postgresql.service ]] || return 0
    read -r -d '' -a all <<< "$2" || true
    for one in "${all[@]}"; do [[ $one != postgresql@?* ]] || under+=("$one"); done
}

# The first one that does not run speaks for its umbrella.
probe_clusters() { # UNIT...; in the caller's array `runs` stands what is known to run
    local unit line lines
    for unit in "$@"; do
        [[ -z ${runs[$unit]-} ]] || continue
        lines=$(systemctl show --timestamp=us+utc --property=ActiveState,SubState,Result,StateChangeTimestamp -- "$unit" 2> /dev/null)
        case $'\n'$lines in *$'\n'ActiveState=active* | *$'\n'ActiveState=reloading*) continue ;; esac
        while IFS= read -r line; do note property "$line"; done <<< "$lines"
        return
    done
}

# The worker processes of a service that reloads by replacing them, as PID@START (clock ticks since boot): the
# caller's array `found`.
children_of() { # PID
    local child stat
    local -a pids=() fields=()
    found=()
    read -r -a pids 2> /dev/null < "/proc/$1/task/$1/children"
    for child in "${pids[@]}"; do
        read -r stat 2> /dev/null < "/proc/$child/stat" || continue
        read -r -a fields <<< "${stat##*) }"
        found+=("$child@${fields[19]}")
    done
}

probe_children() { # PID
    local child
    local -a found
    children_of "$1"
    for child in "${found[@]}"; do note child "${child%@*}" "${child#*@}"; done
}

probe_packages() {
    ((${#packages[@]})) || return 0
    dpkg-query --show --showformat='package\t${binary:Package}\t${Version}\t${db:Status-Status}\n' -- "${packages[@]}" 2> /dev/null
    return 0
}

probe_users() {
    local user line
    for user in "${users[@]}"; do
        line=$(getent passwd "$user") && say user "$user" "$line"
    done
}

# Each value is hashed together with a nonce of this run (what the controller compares) and with the
# host's own salt (what the record remembers); the values stay here.
probe_secrets() {
    ((${#secrets[@]})) || return 0
    local salt='' name path sum entry fd
    local -a found=() lines=() hashes=() fds=() notes=()
    # It is not a line.
    [[ -r $state/salt ]] && { IFS= read -r salt < "$state/salt" || true; }
    for entry in "${secrets[@]}"; do
        path=${entry#*$'\t'}
        [[ -f $path && ! -L $path ]] && found+=("$entry")
    done
    ((${#found[@]})) || return 0
    split "$(sha256sum -- "${found[@]#*$'\t'}")"
    hashes=("${lines[@]}")
    local script='' i
    for i in "${!found[@]}"; do
        sum=${hashes[i]%% *}
        # A here-string ends its line and costs no process.
        exec {fd}<<< "$nonce$sum"
        fds+=("$fd")
        script+=" /dev/fd/$fd <(printf %s $salt$sum)"
    done
    split "$(eval "sha256sum $script")"
    for fd in "${fds[@]}"; do exec {fd}<&-; done
    for i in "${!found[@]}"; do
        name=${found[i]%%$'\t'*}
        sum=${lines[2 * i + 1]%% *}
        [[ -n $salt ]] || sum=-
        note secret "$name" "${lines[2 * i]%% *}" "${sum:0:16}"
    done
    tell
}

probe_venvs() {
    local venv listing dist condition
    local -a dists=()
    for venv in "${venvs[@]}"; do
        [[ -d $venv ]] || continue
        dists=("$venv"/lib/python3*/site-packages/*.dist-info)
        listing=$(printf '%s\n' "${dists[@]##*/}" | sha256sum)
        condition=partial
        [[ ! -e $venv/.synprov-complete ]] || condition=complete
        [[ -x $venv/bin/python ]] || condition=broken
        say venv "$venv" "${listing%% *}" "$condition"
        for dist in "$venv"/lib/python3*/site-packages/matrix_synapse-*.dist-info; do
            dist=${dist##*/matrix_synapse-}
            say synapse "$venv" "${dist%.dist-info}"
        done
    done
}

probe_directives() {
    local entry path name line value
    local -a lines=()
    for entry in "${directives[@]}"; do
        path=${entry#*$'\t'} name=${entry%%$'\t'*} value=''
        [[ -f $path && -r $path ]] || continue
        mapfile -t lines < "$path"
        for line in "${lines[@]}"; do
            # The last one counts, as it does for nginx.
            [[ $line =~ ^[[:space:]]*"$name"[[:space:]] ]] || continue
            value=''
            [[ $line =~ ^[[:space:]]*"$name"[[:space:]]+([0-9]+) ]] && value=${BASH_REMATCH[1]}
        done
        [[ -z $value ]] || say directive "$name" "$path" "$value"
    done
}

# Top-level keys of YAML files that somebody else keeps: Synapse takes each of them whole.
probe_keys() {
    local folder file name line
    for folder in "${folders[@]}"; do
        for file in "$folder"/*.yaml; do
            [[ -f $file && -r $file ]] || continue
            name=${file##*/}
            while IFS= read -r line; do
                say key "$folder/${name//[^[:alnum:]._-]/?}" "${line//[^[:alnum:]_]/}"
            done < <(grep -m 500 -oE "^[\"']?[A-Za-z_][A-Za-z0-9_]*[\"']?[[:space:]]*:" -- "$file")
        done
    done
}

# Our configuration, where another deployment's record has it last: the inventory may have got another server_name.
probe_claims() {
    local folder record config line
    for record in "${state%/*}"/*/record; do
        [[ $record != "$state/record" && -r $record ]] || continue
        for folder in "${folders[@]}"; do
            config=${folder%/*}/config.yaml
            line=$(grep -F -- "/file:$config"$'\t' "$record" | tail -n 1)
            [[ -n $line && ${line#*$'\t'} != - ]] || continue
            record=${record%/record} record=${record##*/}
            say claim "$config" "${record//[^[:alnum:].:_-]/?}"
            break
        done
    done
}

# Values of the secrets that this host holds, with their names, line by line; what is shorter than four bytes
# stands in every text.
declare -A hidden=()

learn_secrets() {
    local entry line
    local -a lines=()
    for entry in "${secrets[@]}"; do
        [[ -f ${entry#*$'\t'} && -r ${entry#*$'\t'} ]] || continue
        mapfile -t lines < "${entry#*$'\t'}"
        for line in "${lines[@]}"; do
            ((${#line} >= 4)) && hidden[$line]=${entry%%$'\t'*}
            # Of a signing key the last word is the secret.
            line=${line##* }
            ((${#line} >= 20)) && hidden[$line]=${entry%%$'\t'*}
        done
    done
}

# Somebody may have written a secret into any file: what is shown of one names the secrets of this host instead.
masked() { # PATH
    local text value
    ((${#hidden[@]})) || learn_secrets
    if ((!${#hidden[@]})) || ! grep -qaF -f <(printf '%s\n' "${!hidden[@]}") -- "$1"; then
        cat -- "$1"
        return
    fi
    text=$(tr -d '\0' < "$1"; printf .)
    for value in "${!hidden[@]}"; do text=${text//"$value"/"<secret ${hidden[$value]}>"}; done
    printf %s "${text%.}"
}

as_postgres() { in_database postgres "$@"; }

in_database() { # DATABASE OPTION...: SQL on standard input, tab-separated rows out
    local psql database=$1
    shift
    local -a found=(/usr/lib/postgresql/*/bin/psql)
    psql=${found[-1]-psql}
    cd / && setpriv --reuid=postgres --regid=postgres --init-groups -- "$psql" -XAtq -v ON_ERROR_STOP=1 -F $'\t' "$@" "$database"
}

probe_postgresql() {
    [[ -n $pg_role ]] || return 0
    [[ -d /usr/lib/postgresql ]] || { say postgresql absent; return 0; }
    local list='' setting
    for setting in "${settings[@]}"; do list+="${list:+,}'$setting'"; done
    # One psql asks both of the cluster and of what Synapse left in our database: no database, or one that no Synapse
    # has started on, and nothing is said of the latter.
    as_postgres -v role="$pg_role" -v db="$pg_database" 2> /dev/null << SQL || say postgresql unreachable
set lock_timeout = '2s';
select 'postgresql', 'version', current_setting('server_version_num');
select 'pg_setting', name, setting, pending_restart from pg_settings where name in (${list:-''});
select 'pg_role', rolname, rolcanlogin from pg_roles where rolname = :'role';
select 'pg_database', datname, pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba) from pg_database where datname = :'db';
select 'pg_peer', address, auth_method from pg_hba_file_rules where type like 'host%' and user_name = array[:'role'] and database = array[:'db'] and error is null;
select exists (select from pg_database where datname = :'db' and datallowconn) as there \gset
\if :there
\connect :"db"
select to_regclass('public.schema_version') is not null as used \gset
\if :used
set default_transaction_read_only = on;
-- A migration that runs holds its tables for as long as it takes, and nobody waits for it here.
set lock_timeout = '2s';
select 'pg_holds', 'locked', 'yes';
\unset ON_ERROR_STOP
select 'pg_holds', 'schema', version from public.schema_version limit 1;
\if :ERROR
\q
\endif
select 'pg_holds', 'locked', 'no';
select 'pg_holds', 'compat', compat_version from public.schema_compat_version limit 1;
select 'pg_holds', 'server_name', regexp_replace(substr(name, strpos(name, ':') + 1), '[^[:alnum:].:_-]', '?', 'g') from public.users limit 1;
select 'pg_holds', 'update', regexp_replace(update_name, '[^[:alnum:].:_-]', '?', 'g') from public.background_updates order by ordering, update_name limit 21;
\endif
\endif
SQL
    return 0
}

declare -A applied_digest=() applied_redacted=() written=()

read_digests() {
    local path real redacted
    [[ -r $state/digests ]] || return 0
    while IFS=$'\t' read -r path real redacted; do
        # The lines before the last count too, until an apply succeeds: several may have written this down and
        # got no farther.
        written[$path/$real]=1
        applied_digest[$path]=$real applied_redacted[$path]=$redacted secretful[$path]=1
    done < "$state/digests"
}

probe_paths() {
    ((${#paths[@]})) || return 0
    local -a lines=() regular=() notes=()
    local row path sum budget=4194304
    local -A bytes=()
    split "$(stat --printf '%F\t%a\t%U\t%G\t%s\t%.6Y\t%.6Z\t%n\n' -- "${paths[@]}" 2> /dev/null)"
    for row in "${lines[@]}"; do
        note path "$row"
        # What comes before a path has no slash.
        path=/${row#*/}
        if [[ $row == regular* ]]; then
            regular+=("$path")
            sum=${row#*$'\t'*$'\t'*$'\t'*$'\t'}
            bytes[$path]=${sum%%$'\t'*}
        fi
        # A target may hold anything, also what would be another line here.
        if [[ $row == 'symbolic link'* ]]; then row=$(readlink -- "$path"); note link "$path" "${row//[[:cntrl:]]/?}"; fi
    done
    ((${#regular[@]})) || { tell; return 0; }
    split "$(sha256sum -- "${regular[@]}" 2> /dev/null)"
    for row in "${lines[@]}"; do
        sum=${row%% *} path=${row#*  }
        # What the record knows byte for byte holds no secret yet, or none any more.
        if [[ -n ${secretful[$path]-} && ${recorded[$path]-} != *"\"content\":\"$sum\""* ]]; then
            if [[ -z ${applied_digest[$path]-} ]]; then note secretful "$path" unknown
            elif [[ -n ${written[$path/$sum]-} ]]; then note secretful "$path" same
            else note secretful "$path" edited; fi
            if [[ ${want[$path]} != - && ${applied_redacted[$path]-} != "${want[$path]}" && -r $state/redacted/${path//\//%} ]]; then
                note content "$path" "$(base64 -w0 < "$state/redacted/${path//\//%}")"
            fi
            continue
        fi
        note digest "$sum" "$path"
        if [[ ${want[$path]} != - && ${want[$path]} != "$sum" ]]; then
            if ((bytes[$path] <= 262144 && (budget -= bytes[$path]) >= 0)); then
                note content "$path" "$(masked "$path" | base64 -w0)"
            fi
        fi
    done
    tell
}

# What each kind of process serves with the configuration in place, said with the venv's own code.
probe_registered() {
    [[ -n $script ]] || return 0
    [[ -x $serving_python ]] || { say unserved "there is no $serving_python"; return 0; }
    local line said=''
    while IFS= read -r line; do
        case $line in
            '{'*) say registered "$line" ;;
            'status 0') ;;
            'status '*) say unserved "${said:-it ended with $line}" ;;
            *) said=${line:0:600} ;;
        esac
    done < <(
        cd / && setpriv --reuid="$serving_user" --regid="$serving_user" --init-groups -- \
            "$serving_python" -I -B -c "$(base64 -d <<< "$script")" "$processes" "$modules" 2>&1
        echo "status $?"
    )
}

# Which ports of other hosts this one reaches, asked all at once: open, refused, silent, or what bash said.
probe_reaches() {
    local one
    for one in "${reaches[@]}"; do
        {
            local said='' status=0
            said=$(timeout 5 bash -c 'exec 3<> "/dev/tcp/$0/$1"' "${one%$'\t'*}" "${one#*$'\t'}" 2>&1) || status=$?
            case $status/$said in
                0/*) said=open ;;
                124/*) said=silent ;;
                *'onnection refused'*) said=refused ;;
                *) said=${said##*: } said=${said//[$'\t\n']/ } ;;
            esac
            say reached "$one" "${said:0:200}"
        } &
    done
    wait
}

# Generations up to the one that the record names: of each who, when and what, or all of one of them.
probe_generations() {
    [[ -n $generations ]] || return 0
    local directory number chosen='' name line
    for directory in "$state"/generations/*; do
        number=${directory##*/}
        [[ $number =~ ^[0-9]{1,18}$ && -r $directory/meta.json ]] && ((number <= generation)) || continue
        case $generations in
            list) say generation "$number" "$(base64 -w0 < "$directory/meta.json")" ;;
            current) ((number == generation)) && chosen=$number ;;
            *) ((number <= generations && number > ${chosen:-0})) && chosen=$number ;;
        esac
    done
    [[ -n $chosen ]] || return 0
    say kept "$chosen"
    for name in meta.json inventory.yaml inventory.lock resources.json; do
        while IFS= read -r line; do
            case $name in *.lock) say kept lock "$line" ;; *) say kept "${name%.*}" "$line" ;; esac
        done < <(gzip -1nc < "$state/generations/$chosen/$name" | base64 -w 60000)
    done
}

# Independent probes run side by side; their answers are put out one after the other.
probe() {
    local units_out packages_out postgresql_out others_out reaches_out watched_out
    ((${#watches[@]})) && exec {watched_out}< <(probe_watched)
    ((${#reaches[@]})) && exec {reaches_out}< <(probe_reaches)
    exec {postgresql_out}< <(probe_postgresql) {units_out}< <(probe_units) \
        {packages_out}< <(probe_packages) {others_out}< <(probe_secrets; probe_venvs)
    probe_system
    probe_paths
    probe_users
    probe_directives
    probe_keys
    probe_claims
    cat "/dev/fd/$units_out" "/dev/fd/$packages_out" "/dev/fd/$others_out" "/dev/fd/$postgresql_out"
    probe_registered
    probe_generations
    ((${#reaches[@]})) && cat "/dev/fd/$reaches_out"
    # Defined in ready.sh and watch.sh, which come along where this is asked.
    ((${#ready[@]})) && probe_states
    ((${#watches[@]})) && cat "/dev/fd/$watched_out"
    say end facts
}

# Before another request is read in the same exec.
forget_request() {
    ready=() want=() secretful=() known_unit=() reloads=() recorded=() applied_digest=() applied_redacted=() written=()
    reaches=() paths=() units=() packages=() users=() venvs=() secrets=() directives=() settings=() folders=()
    pg_role='' pg_database='' script='' processes='' modules='' serving_user='' serving_python='' generations='' generation=0
}

synprov_main() {
    printf '\n%s\n' "$1"
    read_request "$synprov_request" || return 1
    case $mode in
        facts) read_digests; read_record; probe ;;
        apply) serve ;;
        *) say error "request: unknown mode $mode"; return 1 ;;
    esac
}
