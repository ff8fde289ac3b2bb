# Debian packages and users.

install_packages() { # PACKAGE...
    local unit status
    local -a held=()
    export DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1
    local -a apt=(apt-get --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold)
    umask 022
    # A package starts its service with its own configuration, on ports that may be taken: not now.
    for unit in nginx.service haproxy.service redis-server.service; do
        [[ $(systemctl show --property=LoadState --value -- "$unit") == not-found ]] && held+=("$unit")
    done
    ((${#held[@]})) && systemctl mask --runtime --quiet -- "${held[@]}" 2> /dev/null
    if [[ -z $(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2> /dev/null) ]]; then
        "${apt[@]}" update
    fi
    "${apt[@]}" install -- "$@" || { "${apt[@]}" update && "${apt[@]}" install -- "$@"; }
    status=$?
    ((${#held[@]})) && systemctl unmask --runtime --quiet -- "${held[@]}" 2> /dev/null
    for unit in "${held[@]}"; do
        # Nobody asked for the package's own instances of Redis and HAProxy; ours have units of their own.
        [[ $unit != nginx.service && -e /lib/systemd/system/$unit ]] && systemctl disable --quiet -- "$unit" 2> /dev/null
    done
    return $status
}

create_user() { # NAME HOME
    getent passwd "$1" > /dev/null || useradd --system --user-group --home-dir "$2" --no-create-home --shell /usr/sbin/nologin -- "$1"
}
