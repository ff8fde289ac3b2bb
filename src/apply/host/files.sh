# Files and directories, written so that root is led nowhere: in place at once or not at all.

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

# Five digits: with four, chmod leaves a directory's set-user-ID and set-group-ID bits as they are.
make_directory() { # PATH OWNER GROUP MODE
    local parent=${1%/*}
    if [[ -L $1 || (-e $1 && ! -d $1) ]]; then complain "$1 is no directory"; return 1; fi
    # Below a directory of the same owner, that user does it: root is led nowhere by what stands there.
    if owner_writes "$parent" "$2"; then
        # What was given away only root can give back: the directory itself, and no other that may have come into its place.
        if [[ -d $1 && $(stat --printf %U:%G -- "$1") != "$2:$3" ]]; then
            parent=$(cd -P -- "$parent" && pwd -P) || return 1
            (cd -P -- "$1" && [[ $(pwd -P) == "$parent/${1##*/}" ]] && chown -- "$2:$3" .) || { complain "$1 cannot be given to $2:$3"; return 1; }
        fi
        as_owner "$2" "$3" '[[ -d $1 ]] || mkdir -m 0700 -- "$1"; chmod -- "0$2" "$1"' "$1" "$4"
        return
    fi
    # Also where it is there already: who may write to its parent can put a link in its place at any moment.
    safe_directory "$parent" || return 1
    [[ -d $1 ]] || mkdir -m 0700 -- "$1" || return 1
    chown --no-dereference -- "$2:$3" "$1" && chmod -- "0$4" "$1"
}

remove_file() { # PATH KEEP-A-COPY
    [[ -e $1 || -L $1 ]] || return 0
    local owner=''
    [[ -L $1 ]] || owner=$(stat --printf %U -- "$1")
    if [[ -n $owner ]] && owner_writes "${1%/*}" "$owner"; then :; else
        safe_directory "${1%/*}" || return 1
        owner=root
    fi
    if [[ $2 == copy ]]; then keep_copy "$1" || return 1; fi
    if [[ $owner == root ]]; then rm -f -- "$1"; else as_owner "$owner" "$owner" 'rm -f -- "$1"' "$1"; fi
}

keep_copy() { # PATH, which somebody had changed and which goes
    [[ -e $1 || -L $1 ]] || return 0
    mkdir -p -m 0700 -- "$state/removed" && cp --archive --no-dereference --backup=numbered -- "$1" "$state/removed/${1//\//%}" || return 1
    complain "somebody had changed $1; a copy is $state/removed/${1//\//%}"
}

remove_directory() { # PATH
    rmdir --ignore-fail-on-non-empty -- "$1" 2> /dev/null
    return 0
}

# Where the path is a link, the file that it leads to is changed; put_file judges the place of that.
raise_directive() { # PATH NAME VALUE
    local owner group permissions
    set -- "$(realpath -e -- "$1")" "$2" "$3"
    grep -qE "^[[:space:]]*$2[[:space:]]+[0-9]+" -- "$1" || { complain "$1 has no line \"$2 NUMBER;\" to raise"; return 1; }
    read -r owner group permissions < <(stat --printf '%U %G %a\n' -- "$1")
    sed -E "s/^([[:space:]]*$2[[:space:]]+)[0-9]+/\1$3/" -- "$1" | put_file "$1" "$owner" "$group" "$permissions"
}
