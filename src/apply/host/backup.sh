# A copy of what cannot be made again, before anything is changed: readable by root alone, and under its name only
# once it was read again from end to end.

dump_database() { # DATABASE
    local -a found=(/usr/lib/postgresql/*/bin/pg_dump)
    cd / && setpriv --reuid=postgres --regid=postgres --init-groups -- "${found[-1]-pg_dump}" --format=custom --no-password "$1"
}

archive_files() { # PATH...
    tar -C / --create --file=- --numeric-owner -- "${@#/}"
}

# All of a dump has to be readable, not only its table of contents.
restorable() { # FILE
    local -a found=(/usr/lib/postgresql/*/bin/pg_restore)
    "${found[-1]-pg_restore}" --file=/dev/null "$1"
}

# NAME SUFFIX directory|command WHERE NEEDED-BYTES CHECK...  -- MAKE...: CHECK is given the file's name.
back_up() {
    local name=$1 suffix=$2 kind=$3 where=$4 file
    local -i needed=$5 free
    local -a check=()
    shift 5
    while [[ $1 != -- ]]; do check+=("$1"); shift; done
    shift
    name=$name-$(date -u +%Y%m%dT%H%M%SZ).$suffix
    if [[ $kind == command ]]; then
        "$@" | SYNPROV_BACKUP=$name bash -c "$where"
        [[ ${PIPESTATUS[*]} == '0 0' ]] || { complain "the backup of $name did not succeed; see above"; return 1; }
        printf 'gave %s to the command\n' "$name"
        return 0
    fi
    if [[ ! -d $where || -L $where ]]; then mkdir -m 0700 -- "$where" || return 1; fi
    safe_directory "$where" || return 1
    free=$(df --output=avail --block-size=1 -- "$where" | tail -n 1) || return 1
    if ((free < needed)); then
        complain "$where has $((free / 1048576)) MB free, and up to $((needed / 1048576)) MB may be needed; name another directory, or a command"
        return 1
    fi
    file=$where/$name
    "$@" | put_file "$file.partial" root root 0600
    if [[ ${PIPESTATUS[*]} != '0 0' ]] || ! "${check[@]}" "$file.partial" > /dev/null; then
        rm -f -- "$file.partial"
        complain "the backup could not be made, or not be read again; see above"
        return 1
    fi
    mv -T -- "$file.partial" "$file" && sync -- "$where" || return 1
    printf '%s, %s bytes\n' "$file" "$(stat --printf %s -- "$file")"
}

back_up_database() { # NAME directory|command WHERE DATABASE
    local -i size
    size=$(in_database "$4" <<< 'select pg_database_size(current_database())') || return 1
    back_up "$1" dump "$2" "$3" "$size" restorable -- dump_database "$4"
}

back_up_files() { # NAME directory|command WHERE PATH...
    local -i size
    local name=$1 kind=$2 where=$3
    shift 3
    size=$(du --summarize --total --bytes -- "$@" | tail -n 1 | cut -f 1) || return 1
    back_up "$name" tar "$kind" "$where" "$size" tar --list --file -- archive_files "$@"
}
