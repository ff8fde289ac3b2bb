# Sent like facts.sh. Says what processes logged, `line INDEX TEXT` each, INDEX as in the request; with `follow`
# until its input ends. Changes nothing.

export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

follow='' backlog=50 since=''

# At most 3000 bytes of a line: a pipe takes that at once, so that no other line falls into it. No regular
# expression: one with a bound of 3000 costs sed half a gigabyte.
marked() { # INDEX
    local line
    while IFS= read -r line || [[ -n $line ]]; do printf 'line\t%s\t%s\n' "$1" "${line:0:3000}" || return; done
} 2> /dev/null

read_journal() { # INDEX UNIT
    journalctl --quiet --no-pager --no-hostname --output=short-unix --lines="$backlog" \
        ${since:+--since="$since"} ${follow:+--follow} --unit="$2" 2>&1 | marked "$1"
}

not_before() { # TIME
    local line on=''
    while IFS= read -r line; do
        if [[ $line == [0-9][0-9][0-9][0-9]-* ]]; then
            [[ ${line:0:19} < $1 ]] && on='' || on=1
        fi
        [[ -z $on ]] || printf '%s\n' "$line"
    done
} 2> /dev/null

# Its lines begin with a time, those of a traceback do not.
read_file() { # INDEX FILE
    if [[ ! -e $2 ]]; then
        printf 'line\t%s\t%s\n' "$1" "there is no $2 yet"
    fi
    if [[ -n $follow ]]; then
        tail --lines="$backlog" --follow=name --retry -- "$2" 2> /dev/null | marked "$1"
    elif [[ -n $since ]]; then
        not_before "$(date -d "$since" '+%F %T')" < "$2" | tail --lines="$backlog" | marked "$1"
    else
        tail --lines="$backlog" -- "$2" 2> /dev/null | marked "$1"
    fi
}

synprov_main() {
    local kind a b
    printf '\n%s\n' "$1"
    # A group of its own, so that all of it ends together.
    set -m
    (
        while IFS=$'\t' read -r kind a b; do
            case $kind in
                follow) follow=1 ;;
                lines) backlog=$a ;;
                since) since=$a ;;
                unit) read_journal "$a" "$b" < /dev/null & ;;
                file) read_file "$a" "$b" < /dev/null & ;;
                end) break ;;
            esac
        done <<< "$synprov_request"
        printf 'zone\t%s\n' "$(date +%z)"
        if [[ -n $follow ]]; then
            while sleep 5 > /dev/null; do printf 'beat\n' || exit; done < /dev/null &
            cat > /dev/null
            trap '' TERM
            kill -- -$BASHPID 2> /dev/null
        else
            wait
        fi
        printf 'end\n'
    )
}
