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

put_secret() { # NAME PATH OWNER GROUP MODE OFFSET LENGTH
    slice "$6" "$7" | put_file "$2" "$3" "$4" "$5" && revision "$1" "$2"
}

fetch_secret() { # NAME PATH
    [[ -f $2 && ! -L $2 ]] || { complain "$2 is gone"; return 1; }
    answer secret "$1" "$(base64 -w0 < "$2")"
}
