# What a host says for `synprov import`: its Synapse processes, their units and configuration, nginx's files.
# Functions only; run by the loader. Reads, and writes nothing. Values of secrets stay here: the program that
# reads Synapse's YAML puts marks in their places.

coded() { # TEXT: in one word
    printf %s "$1" | base64 -w0
}

# Processes that run one of Synapse's apps: from their command lines, which say how they were started.
find_processes() {
    local folder word app python unit line
    local -a words
    for folder in /proc/[0-9]*; do
        mapfile -d '' -t words 2> /dev/null < "$folder/cmdline" || continue
        app=''
        for word in "${words[@]}"; do
            [[ $word == synapse.app.* ]] && app=$word
        done
        [[ -n $app && ${words[0]} == *python* ]] || continue
        unit=''
        while IFS= read -r line; do
            [[ $line == */*.service ]] && unit=${line##*/}
        done < "$folder/cgroup"
        [[ -n $unit ]] || { say homeless "${folder##*/}" "$app"; continue; }
        [[ $(systemctl show --property=MainPID --value -- "$unit") == "${folder##*/}" ]] || continue
        ask_process "${folder##*/}" "$unit" "$app"
    done
}

ask_process() { # PID UNIT APP; words: its command line
    local pid=$1 python=${words[0]} cwd owner group name='' word
    local -a configs=()
    cwd=$(readlink "/proc/$pid/cwd") || return 0
    owner=$(stat -c %U "/proc/$pid") group=$(stat -c %G "/proc/$pid")
    for word in "${words[@]:1}"; do
        if [[ $name == take ]]; then configs+=("$word"); name=''; continue; fi
        case $word in
            --config-path=*) configs+=("${word#*=}") ;;
            --config-path | -c) name=take ;;
        esac
    done
    [[ $python == /* ]] || python=$cwd/$python
    say process "$pid" "$2" "$3" "$owner" "$group" "$(coded "$python")" "$(coded "$cwd")"
    while IFS= read -r word; do
        say property "$word"
    done < <(systemctl show --property=FragmentPath,DropInPaths,UnitFileState,ActiveState,Type -- "$2" 2> /dev/null)
    # As the user that runs it, who may read these files; not as root, to whom its Python may belong to somebody else.
    say configuration "$(cd / && setpriv --reuid="$owner" --regid="$group" --init-groups -- \
        "$python" -I -B -c "$program" "$cwd" "${configs[@]}" 2>&1 | head -c 600000 | base64 -w0)"
    getent group "$owner" > /dev/null || say groupless "$owner"
}

# nginx.conf and all that it includes, as they lie there.
find_nginx() {
    local -a queue=(/etc/nginx/nginx.conf)
    local -A seen=()
    local path line pattern
    local budget=2000000 size
    [[ -r ${queue[0]} ]] || return 0
    while ((${#queue[@]})); do
        path=${queue[0]} queue=("${queue[@]:1}")
        [[ -n ${seen[$path]-} || ! -f $path ]] && continue
        seen[$path]=1
        size=$(stat -Lc %s -- "$path") || continue
        ((${#seen[@]} > 300 || size > 262144 || (budget -= size) < 0)) && { say unread "$path"; continue; }
        say nginx "$(coded "$path")" "$(base64 -w0 < "$path")"
        while IFS= read -r pattern; do
            pattern=${pattern//[\"\']/}
            [[ $pattern == /* ]] || pattern=/etc/nginx/$pattern
            if [[ $pattern == *[*?[]* ]]; then
                while IFS= read -r line; do queue+=("$line"); done < <(compgen -G "$pattern")
            else
                queue+=("$pattern")
            fi
        done < <(sed -nE 's/^([^#]*[;{[:space:]])?include[[:space:]]+([^;]+);.*$/\2/p' "$path")
    done
}

synprov_main() {
    printf '\n%s\n' "$1"
    local program
    program=$(base64 -d <<< "$synprov_request")
    say euid "$EUID"
    find_processes
    find_nginx
    say end import
}
