# ---------------------------------------------------------------- a shared media store

# A mark is a file that the user who runs Synapse writes and reads, as Synapse does.
as_user_in() { # PATH USER SCRIPT ARGUMENT...
    local path=$1 user=$2 script=$3
    shift 3
    (cd / && setpriv --reuid="$user" --regid="$user" --init-groups -- bash -c "cd -- \"\$1\" || exit 1; shift; $script" marks "$path" "$@")
}

clear_marks() { # PATH USER
    as_user_in "$1" "$2" 'rm -f -- .synprov-mark-*' || { complain "$2 cannot write in $1"; return 1; }
}

write_mark() { # PATH USER HOST
    as_user_in "$1" "$2" 'printf "%s\n" "$1" > ".synprov-mark-$1" && sync -- ".synprov-mark-$1"' "$3" \
        || { complain "$2 cannot write in $1"; return 1; }
}

# A network file system may show a new file late: NFS remembers for a minute that there was none.
find_marks() { # PATH USER HOST OTHER...
    local path=$1 user=$2 host=$3 other
    local -i deadline=$((SECONDS + 70)) told=$SECONDS
    shift 3
    for other in "$@"; do
        until [[ $(as_user_in "$path" "$user" 'cat -- ".synprov-mark-$1"' "$other" 2> /dev/null) == "$other" ]]; do
            if ((SECONDS >= deadline)); then
                complain "host $host does not see in $path what host $other wrote there: they do not share it; $path is on $(findmnt --noheadings --output SOURCE,FSTYPE --target "$path")"
                return 1
            fi
            if ((SECONDS - told >= 3)); then
                told=$SECONDS
                answer waiting "$path" "until the mark of $other is seen"
            fi
            sleep 0.5
        done
    done
}
