# Python environments, built once at their final path.

# What the controller's wheelhouse brought here, and no more than it has.
wheels=/var/cache/synprov/wheels
uv_of_ours=/var/cache/synprov/uv
declare -a uv_source=()

want_wheels() { # OFFSET LENGTH: lines of digest and name; others go, and those that are not here are told
    local digest name
    local -A wanted=()
    umask 022
    mkdir -p -m 0755 -- $wheels && safe_directory $wheels || return 1
    while read -r digest name; do wanted[$name]=$digest; done < <(slice "$1" "$2")
    while IFS= read -r -d '' name; do
        [[ -n ${wanted[$name]-} ]] || rm -rf -- "${wheels:?}/$name" || return 1
    done < <(find $wheels -mindepth 1 -maxdepth 1 -printf '%f\0')
    for name in "${!wanted[@]}"; do
        [[ -f $wheels/$name && ! -L $wheels/$name ]] && sha256sum -- "$wheels/$name" | grep -q "^${wanted[$name]} " \
            || answer lacks "$name"
    done
}

take_wheel() { # NAME SHA256 first|next last|more OFFSET LENGTH
    local part=$wheels/.part
    umask 022
    safe_directory $wheels || return 1
    if [[ $3 == first ]]; then rm -rf -- $part; fi
    slice "$5" "$6" >> $part || return 1
    [[ $4 == last ]] || return 0
    sha256sum -- $part | grep -q "^$2 " || { rm -f -- $part; complain "$1 did not arrive as it is in the wheelhouse"; return 1; }
    rm -rf -- "${wheels:?}/$1" && mv -T -- $part "$wheels/$1"
}

from_wheelhouse() { # for the rest of this step no index is asked, by whatever installs
    export PIP_NO_INDEX=1 PIP_FIND_LINKS=$wheels
    uv_source=(--no-index --find-links "$wheels")
}

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

find_uv() { # auto|pip|uv: tells where it is; `uv` fetches it if it is nowhere
    [[ $1 != pip ]] || return 1
    command -v uv && return
    if [[ $1 == uv && ! -x $uv_of_ours/bin/uv ]]; then
        { rm -rf -- $uv_of_ours && python3 -m venv -- $uv_of_ours && pip $uv_of_ours install --quiet uv; } >&2 || return 1
    fi
    [[ -x $uv_of_ours/bin/uv ]] && echo $uv_of_ours/bin/uv
}

# uv knows nothing of pip's configuration: the index that this host is told to use is told to uv.
with_uv() { # UV VENV
    local index cert
    index=$(pip "$2" config get global.index-url 2> /dev/null)
    cert=$(pip "$2" config get global.cert 2> /dev/null)
    (
        [[ -z $index ]] || export UV_DEFAULT_INDEX=$index
        [[ -z $cert ]] || export SSL_CERT_FILE=$cert
        # Files are copied: a venv shares none with the cache, nor with other venvs.
        "$1" pip install --quiet --no-config --python "$2/bin/python" --cache-dir /var/cache/synprov/uv-cache \
            --link-mode copy --compile-bytecode "${uv_source[@]}" --no-deps --require-hashes --requirement "$2/.synprov-requirements.txt"
    )
}

install_locked() { # VENV auto|pip|uv
    local uv
    if uv=$(find_uv "$2"); then
        with_uv "$uv" "$1" && return
        [[ $2 == auto ]] || return 1
        complain "$uv could not install it, see above; pip tries"
    elif [[ $2 == uv ]]; then
        complain 'there is no uv, and it could not be installed'
        return 1
    fi
    pip "$1" install --progress-bar off --no-deps --require-hashes --requirement "$1/.synprov-requirements.txt"
}

# The set of the lock for this Python if there is one, with hashes. Else pip chooses, within the constraints
# and, if another Python has a set already, the same versions; what it chose goes into the lock.
fill_venv() { # VENV auto|pip|uv REQUIREMENTS-OFFSET LENGTH CONSTRAINTS-OFFSET LENGTH [TAG OFFSET LENGTH]...
    local venv=$1 installer=$2 tag
    shift
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
            install_locked "$venv" "$installer" && return 0
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
import hashlib, json, sys, urllib.parse, urllib.request
def sha256(info):
    # Of a local file older pips (23.0) tell no hash.
    known = info.get("archive_info", {}).get("hashes", {}).get("sha256")
    if known is None and info["url"].startswith("file:///"):
        path = urllib.request.url2pathname(urllib.parse.urlparse(info["url"]).path)
        known = hashlib.sha256(open(path, "rb").read()).hexdigest()
    return known
for item in sorted(json.load(open(sys.argv[1]))["install"], key=lambda item: item["metadata"]["name"].lower()):
    print("%s==%s --hash=sha256:%s" % (item["metadata"]["name"].lower(), item["metadata"]["version"], sha256(item["download_info"])))
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
