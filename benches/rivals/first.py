#!/usr/bin/env python3
"""A first run on a bare host: synprov, a shell script as an admin would write it, and the rivals, side by side.

The script does the same apt, pip and starts, and nothing else: no validation, no check of what is there, files laid
by `install`, the environment from the pinned list without resolving, all workers of a stage started at once. It is
written from what synprov keeps of its own generation, as what the rivals are given (run.py). Every run gets a host of
its own from the same image: Debian with systemd and sshd, no package that is measured. It counts as done when a
request through the proxy is answered.

    first.py [--rounds 5] [--only ssh,synprov] [--out DIRECTORY]

As root; needs what run.py needs. Packages come from the same indexes for all, so do other people's load on them:
contestants take turns. Writes first.ndjson and first.md.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request

import run as rivals
from run import Bench, median, run

NAME = "synprov-bench-first"
ADDRESS = "10.92.0.10"
IMAGE = "localhost/synprov-lab"
# Of the rehearsed host: how indexes are reached.
TAKEN = ["/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"]
STAGES = ["datastore", "main", "writer", "worker", "target", "proxy"]
PACKAGES = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends"


def database(bench):
    """PostgreSQL's role, database and settings, as a shell script of the host; the password is in the file at $1."""
    (one,) = bench.kinds["hs1"]["postgresql"]
    lines = [f"{key} = {value}" for key, value in one["settings"].items()]
    return (
        "for d in /etc/postgresql/*/main/conf.d; do cat > $d/bench.conf << 'END'\n" + "\n".join(lines) + "\nEND\ndone\n"
        "systemctl restart postgresql\ncd /\ntimeout 60 sh -c \"until runuser -u postgres -- psql -qc 'select 1' > /dev/null 2>&1; do sleep 0.1; done\"\n"
        f"printf \"create role {one['role']} login password '%s';\\n\" \"$(cat \"$1\")\" | runuser -u postgres -- psql -q\n"
        f"runuser -u postgres -- createdb --encoding=UTF8 --locale=C --template=template0 --owner={one['role']} {one['database']}\n"
    )


def script(bench):
    """What an admin would write; files lie beside it."""
    kinds, work = bench.kinds["hs1"], bench.work["hs1"]
    (password,) = [one for one in kinds["secret"] if one["name"] == "database"]
    lines = ["set -e", "cd \"$(dirname \"$0\")\"", "apt-get -qq update", f"{PACKAGES} {' '.join(work['packages'])} > /dev/null"]
    for user in kinds["user"]:
        lines.append(f"useradd --system --home-dir {user['home']} --no-create-home --shell /usr/sbin/nologin {user['name']}")
    for one in kinds["directory"]:
        lines.append(f"install -d -o {one['owner']} -g {one['group']} -m {one['mode']} {one['path']}")
    lines.append(f"python3 -m venv {work['venv']}")
    lines.append(f"{work['venv']}/bin/pip -q --disable-pip-version-check install --no-deps {' '.join(work['requirements'])}")
    for one in kinds["file"] + kinds["secret"]:
        local = pathlib.Path(one["local"]).name
        lines.append(f"install -D -o {one['owner']} -g {one['group']} -m {one['mode']} {local} {one['path']}")
    lines.append(f"set -- {password['path']}")
    lines.append(database(bench))
    for one in kinds.get("directive", []):
        lines.append(f"sed -Ei 's/{one['directive']} [0-9]+;/{one['directive']} {bench.directive(one)};/' {one['path']}")
    lines.append("systemctl daemon-reload")
    for stage in STAGES:
        units = [one["unit"] for one in kinds["service"] if one["stage"] == stage]
        lines.append(f"systemctl enable -q --now {' '.join(units)}")
    lines.append("systemctl restart nginx")
    return "\n".join(lines) + "\n"


class Bare:
    """A bare host at ADDRESS."""

    def __init__(self, bench, out):
        self.bench, self.out = bench, out
        container = f"synprov-lab-{rivals.LAB}.hs1"
        tags = run(["podman", "images", "--format", "{{.Tag}}", IMAGE]).split()
        bare = [tag for tag in tags if tag.startswith("debian-12-bare-")]
        if not bare:
            sys.exit("there is no bare image yet: synprov rehearse inventories/single-host.yaml makes it")
        self.image = f"{IMAGE}:{bare[0]}"
        (inspected,) = json.loads(run(["podman", "inspect", container]))
        self.runtime = inspected["OCIRuntime"]
        self.limits = [word for word in inspected["Config"]["CreateCommand"] if word.startswith("--ulimit")]
        self.taken = out / "taken"
        self.taken.mkdir(exist_ok=True)
        for path in TAKEN:
            run(["podman", "cp", f"{container}:{path}", self.taken / pathlib.Path(path).name])
        if not (out / "host_key").exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", out / "host_key"])
        self.public = run(["ssh-keygen", "-y", "-f", bench.key])
        kind, blob = (out / "host_key.pub").read_text().split()[:2]
        self.host_key = f"{kind} {blob}"

    def __enter__(self):
        self.remove()
        run(["podman", "network", "create", "--subnet", "10.92.0.0/24", NAME])
        run([
            "podman", "--runtime", self.runtime, "run", "--detach", "--name", NAME, "--hostname", "hs1", "--systemd=always",
            "--no-hosts", "--network", f"{NAME}:ip={ADDRESS}", "--cap-add=all", "--security-opt", "seccomp=unconfined",
            "--security-opt", "unmask=ALL", *self.limits, self.image, "/sbin/init",
        ])
        for _ in range(240):
            state = subprocess.run(["podman", "exec", NAME, "systemctl", "is-system-running"], capture_output=True, text=True)
            if state.stdout.strip() in ("running", "degraded"):
                break
            time.sleep(0.25)
        for path in TAKEN:
            # /etc/hosts may be mounted: written, not replaced.
            run(["podman", "exec", "-i", NAME, "sh", "-c", f"cat > {path}"], input=(self.taken / pathlib.Path(path).name).read_text())
        run(["podman", "exec", "-i", NAME, "sh", "-ec", "rm -f /etc/ssh/ssh_host_*; umask 077; cat > /etc/ssh/ssh_host_ed25519_key"], input=(self.out / "host_key").read_text())
        run(["podman", "exec", "-i", NAME, "sh", "-ec", "mkdir -p -m 700 /root/.ssh; cat > /root/.ssh/authorized_keys; systemctl restart ssh"], input=self.public)
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        subprocess.run(["podman", "rm", "--force", "--volumes", "--time", "0", NAME], capture_output=True)
        subprocess.run(["podman", "network", "rm", NAME], capture_output=True)


def answered():
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            asked = urllib.request.Request(f"http://{ADDRESS}/_matrix/client/versions", headers={"Host": "bench.example"})
            with urllib.request.urlopen(asked, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    sys.exit("nobody answered through the proxy within 120 s")


def site(bench, bare, out):
    """What each is given, for ADDRESS."""
    there = out / "first"
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir(mode=0o700)
    text = (rivals.HERE / "inventory.yaml").read_text()
    host = f"hs1: {{address: {ADDRESS}, user: root, identity_files: [{bench.key}], host_key: {bare.host_key}}}"
    (there / "inventory.yaml").write_text(text.replace("hs1: {address: 192.0.2.10, user: root}", host))
    (there / "known_hosts").write_text(f"{ADDRESS} {bare.host_key}\n")
    bundle = there / "bundle"
    shutil.copytree(out / "site/files/hs1", bundle)
    (bundle / "run.sh").write_text(script(bench))
    common = f"-F none -i {bench.key} -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile={there / 'known_hosts'} -o StrictHostKeyChecking=yes -o LogLevel=ERROR"
    remote = "mkdir -m 700 /root/bundle && tar -xC /root/bundle && sh /root/bundle/run.sh && rm -r /root/bundle"
    shell = f"tar -C {bundle} -c . | ssh {common} root@{ADDRESS} '{remote}'"
    # What is Ansible's and pyinfra's: what run.py wrote, with what only a first run has.
    for name in ["play.yml", "deploy.py"]:
        (there / name).write_text((out / "site" / name).read_text())
    (password,) = [one for one in bench.kinds["hs1"]["secret"] if one["name"] == "database"]
    (there / "database.sh").write_text(f"set -e\nset -- {password['path']}\n" + database(bench))
    play = (there / "play.yml").read_text()
    python = "    - ansible.builtin.raw: test -x /usr/bin/python3 || { apt-get -qq update && apt-get -qq install -y python3 python3-packaging python3-setuptools python3-venv; }\n      changed_when: false\n    - ansible.builtin.apt: {update_cache: true}\n"
    play = play.replace("  tasks:\n", "  tasks:\n" + python)
    play = play.replace("    - name: services\n", "    - ansible.builtin.script: database.sh\n    - name: services\n")
    (there / "play.yml").write_text(play)
    deploy = (there / "deploy.py").read_text().replace("apt.packages(", "apt.packages(update=True, ")
    deploy = deploy.replace("pip.packages(", "pip.venv(path=data.venv)\npip.packages(")
    deploy = deploy.replace("for unit in", "server.script(src='database.sh')\nfor unit in")
    (there / "deploy.py").write_text(deploy)
    shutil.copytree(out / "site/host_vars", there / "host_vars")
    (there / "hosts.ini").write_text(f"hs1 ansible_host={ADDRESS} ansible_user=root ansible_ssh_private_key_file={bench.key} ansible_python_interpreter=/usr/bin/python3\n")
    (there / "hosts.py").write_text(rivals.pyinfra_hosts({"hs1": (ADDRESS, 22)}, bench.key, there / "known_hosts"))
    old, new = str(out / "site/known_hosts"), str(there / "known_hosts")
    of = lambda environment: {key: value.replace(old, new) for key, value in environment.items()}
    bin = rivals.PROGRAMS / "bin"
    return there, {
        "script": (["bash", "-c", shell], None),
        "synprov": ([rivals.SYNPROV, "apply", "--yes", "--diff", "none", "inventory.yaml"], None),
        "ansible": ([bin / "ansible-playbook", "-i", "hosts.ini", "play.yml"], of(bench.ansible)),
        "mitogen": ([bin / "ansible-playbook", "-i", "hosts.ini", "play.yml"], of(bench.mitogen)),
        "pyinfra": ([bin / "pyinfra", "-y", "hosts.py", "deploy.py"], None),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="script,synprov", help="contestants, separated by commas; also ansible, mitogen, pyinfra")
    parser.add_argument("--out", type=pathlib.Path, default=rivals.ROOT / "target/bench/rivals")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    rivals.programs()
    bench = Bench(out)
    rows, raw = {}, (out / "first.ndjson").open("w")
    try:
        bench.through(0)
        bench.settle()
        bench.write_rivals()
        bare = Bare(bench, out)
        there, contestants = site(bench, bare, out)
        # The host that it was read from stands still while others work.
        run(["podman", "stop", "--time", "10", f"synprov-lab-{rivals.LAB}.hs1"])
        names = [name for name in contestants if name in arguments.only.split(",")]
        for turn in range(arguments.rounds):
            for at in range(len(names)):
                name = names[(at + turn) % len(names)]
                words, environment = contestants[name]
                with bare:
                    usage = out / "usage"
                    began = time.monotonic()
                    done = subprocess.run(
                        ["/usr/bin/time", "-f", "%U %S %M", "-o", str(usage), *map(str, words)],
                        capture_output=True, text=True, cwd=there, env=environment or {**os.environ, "NO_COLOR": "1"},
                    )
                    wall = time.monotonic() - began
                    if done.returncode:
                        sys.exit(f"{name}: {done.returncode}\n{done.stdout[-6000:]}{done.stderr[-6000:]}")
                    answered()
                    whole = time.monotonic() - began
                subprocess.run(["pkill", "-f", str(out / "site/cp")])
                user, system, memory = usage.read_text().split()[-3:]
                row = {"wall": wall, "answered": whole, "cpu": float(user) + float(system), "memory": int(memory) / 1024}
                rows.setdefault(name, []).append(row)
                raw.write(json.dumps({"round": turn, "who": name, **row}) + "\n")
                raw.flush()
                print(f"round {turn}: {name} {wall:.1f} s, answered at {whole:.1f} s", file=sys.stderr)
    finally:
        bench.stop()
        subprocess.run([rivals.SYNPROV, "lab", "down", rivals.LAB], capture_output=True)
    floor = median(rows["script"], "answered") if "script" in rows else None
    table = [
        f"{rivals.contestants_said()} A first run on a bare Debian 12; medians of {arguments.rounds} rounds.",
        "",
        "| | until it answers, s | range | × script | done, s | CPU s here | peak MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, all in rows.items():
        whole = [row["answered"] for row in all]
        times = f"{median(all, 'answered') / floor:.2f}" if floor else ""
        table.append(
            f"| {name} | {median(all, 'answered'):.1f} | {min(whole):.1f}–{max(whole):.1f} | {times} | {median(all, 'wall'):.1f} "
            f"| {median(all, 'cpu'):.1f} | {median(all, 'memory'):.0f} |"
        )
    (out / "first.md").write_text("\n".join(table) + "\n")
    print("\n".join(table))


if __name__ == "__main__":
    main()
