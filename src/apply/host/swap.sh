# Files of a set: staged, remembered if they hold secrets, put in place together.

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
