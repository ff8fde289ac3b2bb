# Python environments, built once at their final path.

pip() { # VENV ARGUMENT...
    local venv=$1
    shift
    mkdir -p -m 0755 -- /var/cache/synprov
    "$venv/bin/python" -m pip --no-input --disable-pip-version-check --cache-dir /var/cache/synprov/pip "$@"
}

new_venv() { # PATH: an empty environment; what an earlier attempt left is removed
    umask 022
    command -v python3 > /dev/null || { complain 'there is no python3'; return 1; }
    if [[ -e $1 && ! -e $1/.synprov-complete ]]; then rm -rf -- "$1"; fi
    [[ -e $1/.synprov-complete ]] && return 0
    mkdir -p -- "${1%/*}" && safe_directory "${1%/*}" && python3 -m venv -- "$1" || return 1
    # `--report` came with pip 22.2 (Ubuntu 22.04 has 22.0).
    local version
    version=$("$1/bin/python" -c 'import pip; print("%d%02d" % tuple(int(n) for n in pip.__version__.split(".")[:2]))')
    ((version >= 2202)) || pip "$1" install --quiet --upgrade 'pip>=23'
}

# The set of the lock for this Python if there is one, with hashes. Else pip chooses, within the constraints
# and, if another Python has a set already, the same versions; what it chose goes into the lock.
fill_venv() { # VENV REQUIREMENTS-OFFSET LENGTH CONSTRAINTS-OFFSET LENGTH [TAG OFFSET LENGTH]...
    local venv=$1 tag
    umask 022
    tag=$("$venv/bin/python" -I -c 'import platform, sys; print("cp%d%d-%s" % (*sys.version_info[:2], platform.machine()))') || return 1
    if [[ -e $venv/.synprov-complete ]]; then
        [[ ! -e $venv/.synprov-report.json ]] || tell_resolved "$venv" "$tag"
        return
    fi
    slice "$2" "$3" > "$venv/.synprov-requirements.txt"
    slice "$4" "$5" > "$venv/.synprov-constraints.txt"
    shift 5
    local -i others=0
    while (($#)); do
        if [[ $1 == "$tag" ]]; then
            slice "$2" "$3" > "$venv/.synprov-requirements.txt"
            pip "$venv" install --progress-bar off --no-deps --require-hashes --requirement "$venv/.synprov-requirements.txt" && return 0
            complain 'the lock names a package that is gone or has another hash; see above'
            return 1
        fi
        if ((!others)); then
            slice "$2" "$3" | grep -oE '^[^ ]+==[^ ]+' >> "$venv/.synprov-constraints.txt"
            others=1
        fi
        shift 3
    done
    pip "$venv" install --progress-bar off --prefer-binary --report "$venv/.synprov-report.json" \
        --requirement "$venv/.synprov-requirements.txt" --constraint "$venv/.synprov-constraints.txt" \
        && tell_resolved "$venv" "$tag"
}

tell_resolved() { # VENV TAG: what pip chose, with hashes
    local line
    local -a lines=()
    mapfile -t lines < <("$1/bin/python" -I -c '
import json, sys
for item in sorted(json.load(open(sys.argv[1]))["install"], key=lambda item: item["metadata"]["name"].lower()):
    hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
    print("%s==%s --hash=sha256:%s" % (item["metadata"]["name"].lower(), item["metadata"]["version"], hashes["sha256"]))
' "$1/.synprov-report.json")
    ((${#lines[@]})) || { complain 'pip left no report of what it installed'; return 1; }
    for line in "${lines[@]}"; do answer resolved "$2" "$line"; done
}

seal_venv() { # PATH: imported once as a test, then never changed again
    local listing dists
    umask 022
    "$1/bin/python" -I -c 'import synapse.app.homeserver, synapse.app.generic_worker, psycopg2, txredisapi' \
        || { complain "Synapse in $1 cannot be imported"; return 1; }
    touch -- "$1/.synprov-complete" && sync --file-system -- "$1" || return 1
    dists=("$1"/lib/python3*/site-packages/*.dist-info)
    listing=$(printf '%s\n' "${dists[@]##*/}" | sha256sum)
    answer venv "$1" "${listing%% *}"
}
