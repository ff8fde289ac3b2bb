#!/usr/bin/env python3
"""Many hosts at once: synprov against as many parallel `ssh HOST true`, on throwaway hosts with systemd and sshd.

    run.py [--hosts 200] [--forks 32] [--rounds 5] [--phases each,one] [--out DIRECTORY] [--keep]

Each host has a deployment of its own (an inventory, a main process, a worker, its files and units), all of them named
in one run; then all hosts are one deployment with a worker on each. What is measured is synprov, so a small program
(stub.py) stands where Synapse's processes would; the environment beside it is a real one, and validates. PostgreSQL
and Redis run on one more host and are somebody else's for all deployments.

As root. Needs podman, about 40 MB of memory a host, and the release build (SYNPROV=PATH measures another one).
Contestants take turns. Printed: medians, peak memory, CPU on this machine; raw.ndjson goes to DIRECTORY.
Note that the hosts share this machine's cores with whom they answer.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SYNPROV = pathlib.Path(os.environ.get("SYNPROV", ROOT / "target/release/synprov")).resolve()
NAME = "synprov-scale"
INOTIFY = pathlib.Path("/proc/sys/fs/inotify/max_user_instances")
VERSION = "1.163.2"
# Of a shell, as its admin would: the same bytes for all.
PYTHON = """#!/bin/sh
# `-m synapse.app.NAME` is the stub; anything else is the environment's own Python.
case "$1 $2" in
    "-m synapse.app."*) exec /opt/stub/bin/python.real /opt/stub/stub.py "$@" ;;
esac
exec /opt/stub/bin/python.real "$@"
"""


def run(words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def environment(out):
    """A real environment with Synapse, whose `python` starts the stub; and how a host that it is for is started."""
    venv, kept = out / "venv", out / "image.json"
    if kept.exists():
        image = json.loads(kept.read_text())
        if subprocess.run(["podman", "image", "exists", image["name"]]).returncode == 0:
            return venv, image
    shutil.rmtree(venv, ignore_errors=True)
    lab = out / "scale-seed.yaml"
    lab.write_text(
        "hosts: {hs1: {address: 192.0.2.10, user: root}}\n"
        f"synapse: {{server_name: seed.example, version: {VERSION}, install: managed}}\n"
        "postgresql: {host: hs1}\nmain: {host: hs1}\n"
    )
    run([SYNPROV, "rehearse", "--keep", "--warm", lab])
    (host,) = [one for one in json.loads(run([SYNPROV, "lab", "list", "--json"])) if one["lab"] == "scale-seed"]
    container = "synprov-lab-scale-seed.hs1"
    path = run(["podman", "exec", container, "sh", "-c", "ls -d /opt/matrix/venvs/*"]).strip()
    # tar keeps times to the second, as compiled Python wants them; `podman cp` rounds them.
    venv.mkdir()
    run(["bash", "-o", "pipefail", "-c", f"podman exec {container} tar -C {path} -c . | tar -C {venv} -x"])
    (inspected,) = json.loads(run(["podman", "inspect", container]))
    limits = [word for word in inspected["Config"]["CreateCommand"] if word.startswith("--ulimit")]
    image = {"name": inspected["ImageName"], "runtime": inspected["OCIRuntime"], "limits": limits}
    run([SYNPROV, "lab", "down", "scale-seed"])
    (venv / "bin/python").rename(venv / "bin/python.real")
    (venv / "bin/python").write_text(PYTHON)
    (venv / "bin/python").chmod(0o755)
    kept.write_text(json.dumps(image))
    return venv, image


class Hosts:
    """Containers with systemd and sshd, one key and one host key for all."""

    def __init__(self, out, number, venv, image):
        self.out, self.number = out, number
        self.key = out / "id_ed25519"
        for name in ["id_ed25519", "host_key"]:
            if not (out / name).exists():
                run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", out / name])
        shutil.copy(HERE / "stub.py", venv / "stub.py")
        self.limit = INOTIFY.read_text()
        self.remove()
        INOTIFY.write_text("8192")
        # /22: more than a /24 has.
        run(["podman", "network", "create", "--subnet", "10.91.0.0/22", "--label", NAME, NAME])
        prepare = out / "prepare.sh"
        prepare.write_text(
            "set -e\nrm -f /etc/ssh/ssh_host_*\ncat > /etc/ssh/ssh_host_ed25519_key\nchmod 600 /etc/ssh/ssh_host_ed25519_key\n"
            "mkdir -p -m 700 /root/.ssh\ncp /authorized /root/.ssh/authorized_keys\nchmod 600 /root/.ssh/authorized_keys\n"
            "systemctl mask --quiet --now postgresql.service redis-server.service nginx.service apt-daily.timer apt-daily-upgrade.timer\n"
            "systemctl restart ssh.service\n"
        )
        def boot(index):
            name = f"{NAME}-{index:03}"
            run([
                "podman", "--runtime", image["runtime"], "run", "--detach", "--name", name, "--hostname", name, "--label", NAME,
                "--systemd=always", "--network", f"{NAME}:ip={self.address(index)}", "--cap-add=all", "--security-opt",
                "seccomp=unconfined", "--security-opt", "unmask=ALL", "--volume", f"{venv}:/opt/stub:ro",
                "--volume", f"{self.key}.pub:/authorized:ro", "--volume", f"{prepare}:/prepare:ro", *image["limits"], image["name"], "/sbin/init",
            ])
            for _ in range(600):
                state = subprocess.run(["podman", "exec", name, "systemctl", "is-system-running"], capture_output=True, text=True)
                if state.stdout.strip() in ("running", "degraded"):
                    break
                if "container state improper" in state.stderr:
                    sys.exit(f"{name} ended while it booted: podman logs {name}")
                time.sleep(0.5)
            run(["podman", "exec", "-i", name, "bash", "/prepare"], input=(out / "host_key").read_text())
            print(f"\r{index} hosts", end="", file=sys.stderr)

        # The first one is not among those that synprov speaks with.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(boot, range(number + 1)))
        run(["podman", "exec", "-i", f"{NAME}-000", "bash", "-e"], input=DATASTORES)
        print(file=sys.stderr)

    @staticmethod
    def address(index):
        return f"10.91.{(index + 9) // 250}.{(index + 9) % 250 + 1}"

    def host(self, index):
        kind, blob = (self.out / "host_key.pub").read_text().split()[:2]
        return f"{{address: {self.address(index)}, internal_address: {self.address(index)}, user: root, identity_files: [{self.key}], host_key: {kind} {blob}}}"

    def known_hosts(self):
        path = self.out / "known_hosts"
        kind, blob = (self.out / "host_key.pub").read_text().split()[:2]
        path.write_text("".join(f"{self.address(index)} {kind} {blob}\n" for index in range(1, self.number + 1)))
        return path

    def remove(self):
        names = run(["podman", "ps", "--all", "--filter", f"label={NAME}", "--format", "{{.Names}}"]).split()
        for at in range(0, len(names), 20):
            run(["podman", "rm", "--force", "--time", "0", *names[at : at + 20]])
        if run(["podman", "network", "ls", "--filter", f"label={NAME}", "--format", "{{.Name}}"]).split():
            run(["podman", "network", "rm", NAME])
        INOTIFY.write_text(self.limit)


DATASTORES = """
systemctl unmask --quiet postgresql.service redis-server.service
cat >> /etc/postgresql/*/main/pg_hba.conf <<< 'host all all 10.91.0.0/22 scram-sha-256'
sed -i "s/^#listen_addresses.*/listen_addresses = '*'/; s/^max_connections.*/max_connections = 1000/" /etc/postgresql/*/main/postgresql.conf
sed -i 's/^bind .*/bind 0.0.0.0/; s/^# requirepass .*/requirepass for-the-scale/; s/^protected-mode yes/protected-mode no/' /etc/redis/redis.conf
systemctl restart postgresql.service redis-server.service
until runuser -u postgres -- psql -qc 'select 1' > /dev/null 2>&1; do sleep 0.5; done
runuser -u postgres -- psql -q << 'SQL'
create role matrix login password 'for-the-scale';
create database matrix encoding UTF8 locale 'C' template template0 owner matrix;
SQL
"""

SHARED = """synapse:
  server_name: {name}
  version: {version}
  install: {{venv: /opt/stub}}
  root: /opt/{root}
  config: {{report_stats: false, event_cache_size: {size}}}
  secrets: {{db: env:SCALE_PASSWORD, redis: env:SCALE_PASSWORD}}
postgresql: {{external: {{host: 10.91.0.10, database: matrix, user: matrix, password: {{secret: db}}}}}}
redis: {{external: {{host: 10.91.0.10, password: {{secret: redis}}}}}}
"""


def inventories(site, hosts, size):
    """An inventory a host, and one for all of them."""
    each = []
    for index in range(1, hosts.number + 1):
        text = f"hosts:\n  hs1: {hosts.host(index)}\n"
        text += SHARED.format(name=f"s{index:03}.example", version=VERSION, root="matrix", size=size)
        text += "main: {host: hs1}\nworkers:\n  client: {host: hs1, handles: [client_reader, sync]}\n"
        path = site / f"s{index:03}.yaml"
        path.write_text(text)
        each.append(path.name)
    text = "hosts:\n" + "".join(f"  hs{index:03}: {hosts.host(index)}\n" for index in range(1, hosts.number + 1))
    text += SHARED.format(name="all.example", version=VERSION, root="all", size=size).replace("  config:", "  prefix: all\n  config:")
    names = ", ".join(f"hs{index:03}: 1" for index in range(1, hosts.number + 1))
    text += f"main: {{host: hs001}}\nworkers:\n  client: {{hosts: {{{names}}}, handles: [client_reader, sync]}}\n"
    (site / "all.yaml").write_text(text)
    return each


class Bench:
    def __init__(self, out, hosts, forks):
        self.out, self.hosts, self.forks = out, hosts, forks
        self.site = out / "site"
        self.site.mkdir(exist_ok=True)
        self.environment = {**os.environ, "NO_COLOR": "1", "SCALE_PASSWORD": "for-the-scale"}

    def measure(self, words, good=(0,)):
        usage = self.out / "usage"
        began = time.monotonic()
        done = subprocess.run(
            ["/usr/bin/time", "-f", "%U %S %M", "-o", str(usage), *map(str, words)],
            capture_output=True, text=True, cwd=self.site, env=self.environment, timeout=5400,
        )
        wall = time.monotonic() - began
        if done.returncode not in good:
            sys.exit(f"{list(map(str, words))[:6]}: {done.returncode}\n{done.stdout[-6000:]}{done.stderr[-6000:]}")
        user, system, memory = usage.read_text().split()[-3:]
        return {"wall": wall, "cpu": float(user) + float(system), "memory": int(memory) / 1024}

    def ssh(self):
        addresses = "\\n".join(self.hosts.address(index) for index in range(1, self.hosts.number + 1))
        common = f"-F none -i {self.hosts.key} -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile={self.hosts.known_hosts()} -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o LogLevel=ERROR"
        return ["bash", "-c", f"printf '{addresses}\\n' | xargs -P {self.forks} -I {{}} ssh {common} root@{{}} true"]

    def ours(self, *words):
        return [SYNPROV, *words]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--forks", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target/bench/scale")
    parser.add_argument("--phases", default="each,one", help="a deployment a host, all hosts as one deployment")
    parser.add_argument("--keep", action="store_true", help="leave the hosts running")
    arguments = parser.parse_args()
    phases = arguments.phases.split(",")
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    venv, image = environment(out)
    hosts = Hosts(out, arguments.hosts, venv, image)
    raw = (out / "raw.ndjson").open("w")
    rows = {}

    def note(who, row):
        rows.setdefault(who, []).append(row)
        raw.write(json.dumps({"who": who, **row}) + "\n")
        raw.flush()
        print(f"{who}: {row['wall']:.2f} s, {row['cpu']:.2f} s CPU, {row['memory']:.0f} MB", file=sys.stderr)

    try:
        bench = Bench(out, hosts, arguments.forks)
        forks, at_once = ["--forks", arguments.forks], ["--at-once", min(arguments.forks, 8)]
        quick = ["--locked", "--detailed-exitcode"]
        each = inventories(bench.site, hosts, "10K")
        apply = bench.ours("apply", "--yes", "--diff", "none", *forks)
        if "each" in phases:
            note("a first apply, a deployment a host", bench.measure([*apply, *at_once, *each]))
            several = {
                "`ssh HOST true`": bench.ssh(),
                "`synprov plan`, a deployment a host": bench.ours("plan", *quick, *forks, *each),
                "`synprov drift`, a deployment a host": bench.ours("drift", *forks, *each),
            }
            turns(several, arguments.rounds, bench, note)
            inventories(bench.site, hosts, "11K")
            note("an apply that changes a file of each, a deployment a host", bench.measure([*apply, *at_once, *each]))
        if "one" in phases:
            note("a first apply, one deployment", bench.measure([*apply, "all.yaml"]))
            one = {
                "`ssh HOST true`, beside one deployment": bench.ssh(),
                "`synprov plan`, one deployment": bench.ours("plan", *quick, *forks, "all.yaml"),
                "`synprov drift`, one deployment": bench.ours("drift", *forks, "all.yaml"),
            }
            turns(one, arguments.rounds, bench, note)
            inventories(bench.site, hosts, "12K")
            note("an apply that changes a file of each, one deployment", bench.measure([*apply, "all.yaml"]))
    finally:
        if not arguments.keep:
            hosts.remove()
    median = lambda all, key: statistics.median(row[key] for row in all)
    print(f"{run([SYNPROV, '-V']).strip()}; {arguments.hosts} hosts, {arguments.forks} at once; medians.\n")
    print("| | runs | wall s | range | CPU s here | peak MB |\n| --- | --- | --- | --- | --- | --- |")
    for who, all in rows.items():
        walls = [row["wall"] for row in all]
        print(f"| {who} | {len(all)} | {median(all, 'wall'):.1f} | {min(walls):.1f}–{max(walls):.1f} | {median(all, 'cpu'):.1f} | {median(all, 'memory'):.0f} |")


def turns(contestants, rounds, bench, note):
    names = list(contestants)
    for turn in range(rounds):
        for at in range(len(names)):
            who = names[(at + turn) % len(names)]
            note(who, bench.measure(contestants[who]))


if __name__ == "__main__":
    main()
