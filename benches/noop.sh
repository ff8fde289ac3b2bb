#!/usr/bin/env bash
# What "nothing to do" costs: `synprov plan` against `ssh HOST true`, side by side, on the same throwaway hosts.
#
#   benches/noop.sh [INVENTORY] [ROUNDS]         default: inventories/single-host.yaml, 10
#
# Before: the program is built for release (`cargo build --release`; SYNPROV=PATH measures another one). Root, as
# labs need it. A lab of that inventory that is up and applied is used and stays (`synprov rehearse --keep`);
# else one is started and removed.
#
# Each round runs both, in turn which comes first, so that what else the machine does hits both alike. ssh uses
# the same key, host key and user, no agent, no configuration, no multiplexing; with several hosts all at once,
# as synprov does. Printed: medians and ratio of wall times, the plan's peak memory (GNU time), and log-ins and
# execs per plan and host as each host's sshd counts them (`LogLevel VERBOSE`, set for the measurement).
# Passes (exit 0) with ratio <= 1.2, memory < 30 MB, 1 log-in and 1 exec.
set -euo pipefail

inventory=${1:-inventories/single-host.yaml}
rounds=${2:-10}
synprov=${SYNPROV:-target/release/synprov}
lab=$(basename "$inventory" .yaml)
for program in jq ssh /usr/bin/time "$synprov"; do
    command -v "$program" > /dev/null || { echo "noop.sh: $program is missing (Debian: jq, openssh-client, time)" >&2; exit 64; }
done
work=$(mktemp -d)
hosts_of_lab() { "$synprov" lab list --json | jq -r --arg lab "$lab" '.[] | select(.lab == $lab) | .name'; }
hosts=$(hosts_of_lab) started=''

on() { podman exec "synprov-lab-$lab.$1" bash -c "$2"; }
finish() {
    if [[ -n $started ]]; then "$synprov" lab down "$lab" > /dev/null
    else for host in $hosts; do on "$host" 'rm -f /etc/ssh/sshd_config.d/noop.conf; systemctl reload ssh' || true; done; fi
    rm -rf "$work"
}
trap finish EXIT
if [[ -z $hosts ]]; then
    started=1
    "$synprov" rehearse --keep --warm "$inventory" > "$work/rehearsal" 2>&1 || { cat "$work/rehearsal" >&2; exit 1; }
    hosts=$(hosts_of_lab)
fi

field() { "$synprov" lab list --json | jq -r --arg lab "$lab" --arg host "$1" ".[] | select(.lab == \$lab and .name == \$host) | .$2"; }
for host in $hosts; do
    printf 'exec ssh -F none -i %q -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile=%q -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o LogLevel=ERROR %s@%s true\n' \
        "$(field "$host" key)" "$(field "$host" known_hosts)" "$(field "$host" user)" "$(field "$host" address)" > "$work/$host.sh"
    on "$host" "echo 'LogLevel VERBOSE' > /etc/ssh/sshd_config.d/noop.conf; systemctl reload ssh"
done

ssh_true() {
    local host pid
    local -a pids=()
    for host in $hosts; do bash "$work/$host.sh" & pids+=($!); done
    for pid in "${pids[@]}"; do wait "$pid"; done
}
# An sshd that reads its configuration again lets go of its port for a moment.
until ssh_true 2> /dev/null; do sleep 0.1; done
plan() { "$synprov" plan --lab --locked --detailed-exitcode "$inventory" > "$work/plan" || { cat "$work/plan"; echo "noop.sh: the plan is not empty" >&2; exit 1; }; }
measure() { # NAME: wall time in microseconds, appended
    local began=${EPOCHREALTIME/./}
    "$1"
    echo $((${EPOCHREALTIME/./} - began)) >> "$work/$1.us"
}
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.1f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2000 }'; }
spread() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.0f-%.0f", v[1] / 1000, v[NR] / 1000 }'; }

ssh_true; plan; sleep 1 # warm both, and let sshd have read its configuration
for ((round = 0; round < rounds; round++)); do
    if ((round % 2)); then measure plan; measure ssh_true; else measure ssh_true; measure plan; fi
done

# Apart from the timing: one plan counted by every host's sshd.
declare -A cursor
for host in $hosts; do cursor[$host]=$(on "$host" "journalctl --sync; journalctl --lines=0 --show-cursor --quiet | sed -n 's/^-- cursor: //p'"); done
/usr/bin/time --format %M --output "$work/memory" "$synprov" plan --lab --locked "$inventory" > /dev/null
logins=0 execs=0
for host in $hosts; do
    said=$(on "$host" "journalctl --sync; journalctl --unit=ssh --output=cat --after-cursor='${cursor[$host]}'")
    logins=$((logins + $(grep -c 'Accepted publickey' <<< "$said")))
    execs=$((execs + $(grep -c 'Starting session: ' <<< "$said")))
done

a=$(median "$work/plan.us") b=$(median "$work/ssh_true.us")
ratio=$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2f", a / b }')
memory=$(awk '{ printf "%.1f", $1 / 1024 }' "$work/memory")
count=$(wc -w <<< "$hosts")
printf '%-28s %10s %14s\n' "$count host(s), $rounds rounds" 'median ms' 'range ms'
printf '%-28s %10s %14s\n' 'synprov plan (No changes)' "$a" "$(spread "$work/plan.us")" 'ssh HOST true' "$b" "$(spread "$work/ssh_true.us")"
printf '%-28s %10s %14s\n' ratio "$ratio" '<= 1.20' 'peak memory, MB' "$memory" '< 30' 'log-ins' "$logins" "= $count" execs "$execs" "= $count"
awk -v r="$ratio" -v m="$memory" -v l="$logins" -v e="$execs" -v c="$count" 'BEGIN { exit !(r <= 1.2 && m < 30 && l == c && e == c) }'
