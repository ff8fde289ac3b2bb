# Files of a set: staged, remembered if they hold secrets, put in place together.

stage_file() { # SET PATH OWNER GROUP MODE OFFSET LENGTH
    local target=$stage/$1$2
    (umask 022; mkdir -p -- "${target%/*}") || return 1
    rm -f -- "$target"
    : > "$target" && chown -- "$3:$4" "$target" && chmod -- "$5" "$target" && slice "$6" "$7" >> "$target"
}

# A file that goes with this set: the overlay of a validation hides it (a whiteout, overlayfs.rst of Linux).
stage_absence() { # SET PATH
    local target=$stage/$1$2
    (umask 022; mkdir -p -- "${target%/*}") || return 1
    rm -f -- "$target" && mknod -- "$target" c 0 0
}

# Remembers a file with secrets by its digest, which never leaves the host. Written before the file is.
remember_digest() { # SET PATH REDACTED-DIGEST
    local sum
    sum=$(sha256sum < "$stage/$1$2") || return 1
    printf '%s\t%s\t%s\n' "$2" "${sum%% *}" "$3" | append_to "$state/digests"
}

# Its text without secrets, for the diff of a later plan.
remember_text() { # PATH OFFSET LENGTH
    slice "$2" "$3" > "$state/redacted/.new" && mv -fT "$state/redacted/.new" "$state/redacted/${1//\//%}"
}

beside() { # PATH: a new empty file in the same directory, of unpredictable name
    mktemp -- "${1%/*}/.${1##*/}.synprov-XXXXXXXXXX"
}

# Puts the staged files of a set in place and takes others away: all of it, or, where that fails, nothing.
# New contents are on disk before the first rename, and what stood there is kept until after the last.
# Status 1: everything is as it was. Status 2: it is not, and could not be put back.
swap() { # SET PATH... -- PATH-THAT-GOES...
    local set=$1 path
    local -a all=() news=() olds=() theirs=()
    local -i i ours moved=0
    shift
    while (($#)) && [[ $1 != -- ]]; do
        path=$1
        shift
        if [[ -d $path && ! -L $path ]]; then complain "$path is a directory"; return 1; fi
        if owner_writes "${path%/*}" "$(stat --printf %U -- "$stage/$set$path")"; then theirs+=("$path"); continue; fi
        safe_directory "${path%/*}" || return 1
        rm -f -- "${path%/*}/.${path##*/}".synprov-??????????
        all+=("$path")
    done
    ours=${#all[@]}
    for path in "${@:2}"; do
        [[ -e $path || -L $path ]] || continue
        if [[ -d $path && ! -L $path ]]; then complain "$path is a directory"; return 1; fi
        safe_directory "${path%/*}" || return 1
        all+=("$path")
    done
    if ! make_ready; then
        rm -f -- "${news[@]}" "${olds[@]}"
        return 1
    fi
    for i in "${!all[@]}"; do
        if ((i < ours)); then mv -fT -- "${news[i]}" "${all[i]}"; else rm -f -- "${all[i]}"; fi || { put_back; return; }
        ((moved = i + 1))
    done
    # Last, since another user's own rename is not ours to undo; no set has more than one of these.
    for path in "${theirs[@]}"; do
        owner_swaps "$set" "$path" || { put_back; return; }
    done
    ((${#all[@]} == 0)) || sync -- "${all[@]%/*}"
    rm -f -- "${olds[@]}" "$state/swapping"
}

# Of `swap`, whose variables it uses: the new files beside the old ones, and second names for these.
make_ready() {
    local -i i
    for i in "${!all[@]}"; do
        if ((i < ours)); then
            news[i]=$(beside "${all[i]}") && cp --preserve=mode,ownership -- "$stage/$set${all[i]}" "${news[i]}" || return 1
        fi
        if [[ -e ${all[i]} || -L ${all[i]} ]]; then
            olds[i]=$(beside "${all[i]}") && ln -fP -- "${all[i]}" "${olds[i]}" || return 1
        fi
    done
    ((${#news[@]} == 0)) || sync -- "${news[@]}" || return 1
    # Should this end in the middle, the next apply knows what lies about.
    ((${#all[@]} == 0)) || { printf '%s\n' "${news[@]}" "${olds[@]}" > "$state/swapping" && sync "$state/swapping"; }
}

# Of `swap`, whose variables it uses: undoes the first `moved` renames.
put_back() {
    local -i status=1
    while ((moved > 0)); do
        ((moved -= 1))
        if [[ -n ${olds[moved]-} ]]; then mv -fT -- "${olds[moved]}" "${all[moved]}"; else rm -f -- "${all[moved]}"; fi && continue
        complain "${all[moved]} could not be put back"
        status=2
    done
    sync -- "${all[@]%/*}"
    for path in "${all[@]}"; do
        [[ -n ${applied_digest[$path]-} ]] && printf '%s\t%s\t%s\n' "$path" "${applied_digest[$path]}" "${applied_redacted[$path]}" | append_to "$state/digests"
    done
    ((status == 2)) || complain 'what had been replaced was put back'
    rm -f -- "${news[@]}" "${olds[@]}" "$state/swapping"
    return $status
}

owner_swaps() { # SET PATH
    local owner group permissions
    read -r owner group permissions < <(stat --printf '%U %G %a\n' -- "$stage/$1$2")
    as_owner "$owner" "$group" 'umask 077
        rm -f -- "${1%/*}/.${1##*/}".synprov-??????????
        new=$(mktemp -- "${1%/*}/.${1##*/}.synprov-XXXXXXXXXX") || exit 1
        cat > "$new" && chmod -- "$2" "$new" && sync -- "$new" && mv -fT -- "$new" "$1" && sync -- "${1%/*}" && exit
        rm -f -- "$new"
        exit 1' "$2" "$permissions" < "$stage/$1$2"
}

# What a swap left that was ended in the middle: the plan mends the files themselves.
clear_swap() {
    local path
    [[ -s $state/swapping ]] || return 0
    while IFS= read -r path; do
        [[ $path == */.*.synprov-?????????? && -e ${path%/*} ]] && safe_directory "${path%/*}" quiet && rm -f -- "$path"
    done < "$state/swapping"
    rm -f -- "$state/swapping"
}
