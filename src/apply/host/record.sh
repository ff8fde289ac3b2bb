# The record and what stands beside it in $state: made ready, appended to, replaced.

prepare_state() {
    mkdir -p -m 0700 -- /var/lib/synprov "$state" "$state/redacted" || return 1
    [[ -O $state && ! -L $state && -O /var/lib/synprov && ! -L /var/lib/synprov ]] || return 1
    if [[ ! -s $state/salt ]]; then
        (head -c 32 /dev/urandom | sha256sum | head -c 64 > "$state/salt.new") && sync "$state/salt.new" && mv -fT "$state/salt.new" "$state/salt" || return 1
    fi
    cut_torn_line || return 1
    clear_swap
    rm -rf -- $stage $replaced
}

# A line that lost its end to a power cut, or became zero bytes, counts for nothing; what is appended must not
# make it one in the middle, which is damage. A record without any whole line is left for people to look at.
cut_torn_line() {
    local line whole=''
    [[ -s $state/record ]] || return 0
    line=$(tail -c 1 "$state/record" | od -An -tx1)
    [[ $line == *0a ]] && return 0
    while IFS= read -r line; do whole+=$line$'\n'; done 2> /dev/null < "$state/record"
    [[ -n $whole ]] || return 0
    printf %s "$whole" > "$state/record.new" && sync "$state/record.new" && mv -fT "$state/record.new" "$state/record" && sync "$state"
}

record_append() { # OFFSET LENGTH
    slice "$1" "$2" | append_to "$state/record"
}

# Two steps may have something to write down at once: whole lines, one step's after the other's. Where the disk
# is full, nothing: what is appended later must not go on in the middle of a line.
append_to() { # FILE < LINES
    (
        flock 9 && size=$(stat --printf %s -- "$1") || exit 1
        cat >&9 && sync -- "$1" && exit
        truncate --size="$size" -- "$1"
        exit 1
    ) 9>> "$1"
}

# What a step that has succeeded leaves behind. Its lines come with it, so that nobody has to be there any more
# when it ends; what only the step could tell stands in them as a name, and `answer` knows the value.
record_done() { # OFFSET LENGTH
    local lines name
    lines=$(slice "$1" "$2"; printf .)
    for name in "${!revealed[@]}"; do lines=${lines//"$name"/"${revealed[$name]}"}; done
    printf %s "${lines%.}" | append_to "$state/record"
}

# What this apply made of the host, beside its record; the record says then that it is so.
keep_generation() { # NUMBER KEPT (OFFSET LENGTH)... of meta.json inventory.yaml inventory.lock resources.json, each in gzip
    local all=$state/generations number=$1 name
    local -i kept=$2
    shift 2
    mkdir -p -m 0700 -- "$all" && rm -rf -- "$all/new" && mkdir -m 0700 -- "$all/new" || return 1
    for name in meta.json inventory.yaml inventory.lock resources.json; do
        slice "$1" "$2" | gzip -dc > "$all/new/$name" || return 1
        shift 2
    done
    sync -- "$all"/new/* && rm -rf -- "${all:?}/$number" && mv -T -- "$all/new" "$all/$number" && sync -- "$all" || return 1
    # Of those before it, what is more than enough.
    for name in "$all"/*; do
        name=${name##*/}
        [[ $name =~ ^[0-9]{1,18}$ ]] && ((name <= number)) && printf '%s\n' "$name"
    done | sort -n | head -n "-$kept" | while IFS= read -r name; do rm -rf -- "${all:?}/$name"; done
}

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
