# Secrets: made here, brought here, fetched from here. Their values never enter a log.

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

# A file of somebody's is read as that somebody, so that root is not led to another one.
read_found() { # PATH
    local owner
    [[ -f $1 && ! -L $1 ]] || { complain "$1 is no file"; return 1; }
    owner=$(stat --printf %U -- "$1")
    if [[ $owner == root ]]; then
        safe_directory "${1%/*}" && cat -- "$1"
    else
        as_owner "$owner" "$(id -gn "$owner")" 'cat -- "$1"' "$1"
    fi
}

# The text behind a key of a YAML file, by the reader that Synapse has.
value_of='
import sys, yaml
value = yaml.safe_load(sys.stdin)
for part in sys.argv[1].split("."):
    value = value[int(part) if isinstance(value, list) else part]
assert isinstance(value, (str, int)) and not isinstance(value, bool)
sys.stdout.write(str(value))
'

# A secret that lay on the host before us: a file, or one value of it.
take_secret() { # NAME PATH OWNER GROUP MODE FROM KEY USER PYTHON
    if [[ -e $2 || -L $2 ]]; then complain "$2 exists; a secret is never overwritten"; return 1; fi
    local value
    if [[ -z $7 ]]; then
        read_found "$6" > /dev/null || return 1
        read_found "$6" | put_file "$2" "$3" "$4" "$5" || return 1
    else
        # What it would complain of might quote the file.
        value=$(read_found "$6" | (cd / && setpriv --reuid="$8" --regid="$8" --init-groups -- "$9" -I -B -c "$value_of" "$7" 2> /dev/null))
        if [[ -z $value ]]; then complain "$6 has no text at $7"; return 1; fi
        printf %s "$value" | put_file "$2" "$3" "$4" "$5" || return 1
    fi
    revision "$1" "$2"
}

# What this run replaces stays on tmpfs, for root alone, until the run is over: the way back puts it back.
keep_secret() { # PATH
    local kept=$replaced/${1//\//%}
    [[ -f $1 && ! -L $1 && ! -e $kept ]] || return 0
    # Half of it would be taken for all of it.
    mkdir -p -m 0700 -- $replaced && (umask 077; cat -- "$1" > "$kept.new") && mv -fT -- "$kept.new" "$kept"
}

put_secret() { # NAME PATH OWNER GROUP MODE OFFSET LENGTH
    keep_secret "$2" || return 1
    slice "$6" "$7" | put_file "$2" "$3" "$4" "$5" && revision "$1" "$2"
}

# Nothing is kept of a secret that was new, nor after a reboot: then it stays as it is.
restore_secret() { # NAME PATH OWNER GROUP MODE RECORD-OFFSET RECORD-LENGTH
    local kept=$replaced/${2//\//%}
    [[ -f $kept ]] || return 0
    put_file "$2" "$3" "$4" "$5" < "$kept" && record_append "$6" "$7" && rm -f -- "$kept" && revision "$1" "$2"
}

fetch_secret() { # NAME PATH
    [[ -f $2 && ! -L $2 ]] || { complain "$2 is gone"; return 1; }
    answer secret "$1" "$(base64 -w0 < "$2")"
}
