#!/usr/bin/env python3
"""synprov against ansible-core, ansible-core with Mitogen, and pyinfra, doing the same work on the same throwaway host.

What the rivals are to do is written from what synprov itself keeps on the host of the generation that it applied
(files with their bytes, owners and modes, directories, user, packages, Python environment, directives, units), so that
nobody can say it differs. They do less: no validation before anything is put in place, no check of the routes, no
look at PostgreSQL's role and settings, no waiting until a process is ready.

Ansible runs in its fastest set-up: pipelining, ControlPersist, facts not gathered, a task with a loop for each kind,
one connection for all runs of a round. pyinfra runs with -y. All go through benches/rivals/relay.py, which adds the
round trip and counts bytes; log-ins and execs are counted by the host's sshd.

    run.py [--rounds 10] [--rtt 0,100] [--phases noop,check,change] [--out DIRECTORY]

As root. Needs podman, python3-venv and the release build (SYNPROV=PATH measures another one). Contestants take turns
within each round, every round begins with another one. Writes raw.ndjson and table.md to DIRECTORY (target/bench).
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SYNPROV = pathlib.Path(os.environ.get("SYNPROV", ROOT / "target/release/synprov")).resolve()
LAB = "rivals"
CLIENT = "matrix_generic_worker@client.service"
RIVALS = ["ansible-core", "mitogen", "pyinfra"]


def run(words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def on_host(script):
    return run(["podman", "exec", "-i", f"synprov-lab-{LAB}.hs1", "bash", "-ec", script])


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Bench:
    def __init__(self, out):
        self.out = out
        self.counter = 2000
        self.relay = None
        subprocess.run([SYNPROV, "lab", "down", LAB], capture_output=True)
        work = out / f"{LAB}.yaml"
        shutil.copy(HERE / "inventory.yaml", work)
        print("provisioning a throwaway host …", file=sys.stderr)
        run([SYNPROV, "rehearse", "--keep", "--warm", work])
        (self.host,) = [one for one in json.loads(run([SYNPROV, "lab", "list", "--json"])) if one["lab"] == LAB]
        self.known = pathlib.Path(self.host["known_hosts"]).read_text().split()
        # Ansible's pip module wants it there.
        on_host("apt-get -qq update && apt-get -qq install -y python3-packaging python3-setuptools > /dev/null 2>&1")
        on_host("echo 'LogLevel VERBOSE' > /etc/ssh/sshd_config.d/bench.conf; systemctl reload ssh")

    # The way there

    def through(self, milliseconds):
        self.stop()
        self.port = free_port()
        self.counts = self.out / "counts"
        self.counts.write_text("0 0 0")
        words = [sys.executable, HERE / "relay.py", self.port, self.host["address"], 22, milliseconds, self.counts]
        self.relay = subprocess.Popen([str(word) for word in words])
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        self.inventories()

    def stop(self):
        if self.relay:
            self.relay.kill()
            self.relay.wait()

    # What each contestant is given

    def inventory(self, value):
        key, kind, blob = self.host["key"], *self.known[1:3]
        there = (
            f"hs1: {{address: 127.0.0.1, port: {self.port}, user: root, identity_files: [{key}], host_key: {kind} {blob}}}"
        )
        text = (HERE / "inventory.yaml").read_text()
        text = text.replace("hs1: {address: 192.0.2.10, user: root}", there)
        return text.replace("event_cache_size: 1000", f"event_cache_size: {value}")

    def inventories(self):
        site = self.out / "site"
        site.mkdir(exist_ok=True)
        (site / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {self.known[1]} {self.known[2]}\n")
        common = f"-o UserKnownHostsFile={site / 'known_hosts'} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none"
        self.ssh = ["ssh", "-F", "none", *common.split(), "-o", "LogLevel=ERROR", "-i", self.host["key"], "-p", str(self.port), "root@127.0.0.1"]
        (site / "inventory.yaml").write_text(self.inventory(self.counter))
        ansible = f"hs1 ansible_host=127.0.0.1 ansible_port={self.port} ansible_user=root ansible_ssh_private_key_file={self.host['key']} ansible_python_interpreter=/usr/bin/python3\n"
        (site / "hosts.ini").write_text(ansible)
        (site / "config").write_text(
            f"Host hs1\n  HostName 127.0.0.1\n  Port {self.port}\n  User root\n  IdentityFile {self.host['key']}\n  UserKnownHostsFile {site / 'known_hosts'}\n"
        )
        (site / "hosts.py").write_text(
            f"hosts = [('hs1', {{'ssh_hostname': '127.0.0.1', 'ssh_port': {self.port}, 'ssh_user': 'root', 'ssh_key': {self.host['key']!r}, 'ssh_known_hosts_file': {str(site / 'known_hosts')!r}, 'ssh_strict_host_key_checking': 'yes', 'ssh_config_file': '/dev/null'}})]\n"
        )
        arguments = common + " -o ControlMaster=auto -o ControlPersist=60s -o PreferredAuthentications=publickey"
        self.ansible = {
            **os.environ,
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": "64",
            "ANSIBLE_GATHERING": "explicit",
            "ANSIBLE_SSH_ARGS": arguments,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(site / "cp"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "False",
        }
        plugins = list((self.out / "venv").glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy"))
        self.mitogen = {
            **self.ansible,
            "ANSIBLE_STRATEGY_PLUGINS": str(plugins[0]),
            "ANSIBLE_STRATEGY": "mitogen_linear",
        }

    def settle(self):
        """Has synprov apply by this inventory once, so that its plan is empty."""
        self.synprov("apply", "--yes", "--adopt", "--diff", "none")

    def synprov(self, *words):
        return run([SYNPROV, *words, "inventory.yaml"], cwd=self.out / "site", env={**os.environ, "NO_COLOR": "1"})

    def write_rivals(self):
        """Plays and operations from the generation that the host keeps."""
        site = self.out / "site"
        state = "/var/lib/synprov/bench.example"
        text = on_host(f"cat {state}/generations/$(ls {state}/generations | sort -n | tail -n 1)/resources.json")
        resources = [one.get("body", one) for one in json.loads(text)]
        kinds = {}
        for one in resources:
            kinds.setdefault(one["kind"], []).append(one)
        files = site / "files"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir(mode=0o700)
        whole = kinds.get("file", []) + kinds.get("secret", [])
        for number, one in enumerate(whole):
            local = files / f"{number:03}"
            local.write_bytes(
                subprocess.run(
                    ["podman", "exec", f"synprov-lab-{LAB}.hs1", "cat", one["path"]], capture_output=True, check=True
                ).stdout
            )
            one["local"] = str(local)
        self.changed = next(one for one in whole if one["path"].endswith("/workers/client.yaml"))
        packages = sorted({name for one in kinds.get("packages", []) for name in one["packages"]})
        units = [one["unit"] for one in kinds.get("service", [])]
        (venv,) = kinds["venv"]
        # What is there: a lock may not have it, if the environment was built by the rehearsal.
        frozen = on_host(f"{venv['path']}/bin/python -m pip --disable-pip-version-check list --format freeze")
        requirements = [line for line in frozen.split() if line.split("==")[0] not in ("pip", "setuptools")]
        self.counted = {kind: len(items) for kind, items in kinds.items()}

        play = ["- hosts: all", "  gather_facts: false", "  tasks:"]

        def task(name, module, arguments, items=None, register=None, when=None):
            play.append(f"    - name: {name}")
            play.append(f"      {module}: {json.dumps(arguments)}")
            if items is not None:
                play.append(f"      loop: {json.dumps(items)}")
                play.append("      loop_control: {label: \"{{ item.path | default(item) }}\"}")
            if register:
                play.append(f"      register: {register}")
            if when:
                play.append(f"      when: {when}")

        task("packages", "ansible.builtin.apt", {"name": packages, "state": "present"})
        for user in kinds.get("user", []):
            task("user", "ansible.builtin.user", {"name": user["name"], "home": user["home"], "system": True, "create_home": False})
        keys = ["path", "owner", "group", "mode"]
        directories = [{key: one[key] for key in keys} for one in kinds.get("directory", [])]
        task("directories", "ansible.builtin.file", {key: f"{{{{ item.{key} }}}}" for key in keys} | {"state": "directory"}, directories)
        task("environment", "ansible.builtin.pip", {"name": requirements, "virtualenv": venv["path"], "virtualenv_command": "python3 -m venv"})
        items = [{key: one[key] for key in keys} | {"local": one["local"]} for one in whole if one is not self.changed]
        copied = {"src": "{{ item.local }}", "dest": "{{ item.path }}"} | {key: f"{{{{ item.{key} }}}}" for key in keys[1:]}
        task("files", "ansible.builtin.copy", copied, items)
        changed = self.changed
        task("a worker's file", "ansible.builtin.copy", {"src": changed["local"], "dest": changed["path"]} | {key: changed[key] for key in keys[1:]}, register="worker")
        for one in kinds.get("directive", []):
            task("directive", "ansible.builtin.replace", {"path": one["path"], "regexp": rf"{one['directive']} \d+;", "replace": f"{one['directive']} {self.directive(one)};"})
        task("services", "ansible.builtin.systemd_service", {"name": "{{ item }}", "state": "started", "enabled": True}, units)
        task("restart", "ansible.builtin.systemd_service", {"name": CLIENT, "state": "restarted"}, when="worker is changed")
        (site / "play.yml").write_text("\n".join(play) + "\n")

        lines = ["from pyinfra.operations import apt, files, pip, server, systemd", f"apt.packages(packages={packages!r})"]
        for user in kinds.get("user", []):
            lines.append(f"server.user(user={user['name']!r}, home={user['home']!r}, system=True, ensure_home=False)")
        for one in directories:
            lines.append(f"files.directory(path={one['path']!r}, user={one['owner']!r}, group={one['group']!r}, mode={one['mode']!r})")
        lines.append(f"pip.packages(packages={requirements!r}, pip={venv['path'] + '/bin/pip'!r})")
        for one in whole:
            name = "worker = " if one is changed else ""
            lines.append(f"{name}files.put(src={one['local']!r}, dest={one['path']!r}, user={one['owner']!r}, group={one['group']!r}, mode={one['mode']!r})")
        for one in kinds.get("directive", []):
            lines.append(f"files.replace(path={one['path']!r}, text=r'{one['directive']} \\d+;', replace='{one['directive']} {self.directive(one)};')")
        for unit in units:
            lines.append(f"systemd.service(service={unit!r}, running=True, enabled=True)")
        lines.append(f"systemd.service(service={CLIENT!r}, running=True, restarted=True, _if=worker.did_change)")
        (site / "deploy.py").write_text("\n".join(lines) + "\n")

    def directive(self, one):
        return re.search(rf"{one['directive']} (\d+);", on_host(f"cat {one['path']}")).group(1)

    def another(self):
        """Something new for a worker's file, in what everybody is given."""
        self.counter += 1
        (self.out / "site/inventory.yaml").write_text(self.inventory(self.counter))
        local = pathlib.Path(self.changed["local"])
        local.write_text(re.sub(r"event_cache_size: \d+", f"event_cache_size: {self.counter}", local.read_text()))

    # Measuring

    def measure(self, words, env=None):
        cursor = on_host("journalctl --sync; journalctl --lines=0 --show-cursor --quiet | sed -n 's/^-- cursor: //p'").strip()
        before = [int(word) for word in self.counts.read_text().split()]
        usage = self.out / "usage"
        began = time.monotonic()
        done = subprocess.run(
            ["/usr/bin/time", "-f", "%U %S %M", "-o", str(usage), *map(str, words)],
            capture_output=True, text=True, cwd=self.out / "site", env=env or {**os.environ, "NO_COLOR": "1"},
        )
        wall = time.monotonic() - began
        if done.returncode:
            sys.exit(f"{words}\n{done.stdout[-6000:]}{done.stderr[-6000:]}")
        user, system, memory = usage.read_text().split()[-3:]
        # What lingers (a shared connection) is not part of it; its bytes are counted when it ends.
        subprocess.run(["pkill", "-f", str(self.out / "site/cp")])
        time.sleep(0.3)
        after = [int(word) for word in self.counts.read_text().split()]
        said = on_host(f"journalctl --sync; journalctl --unit=ssh --output=cat --after-cursor='{cursor}'")
        return {
            "wall": wall, "cpu": float(user) + float(system), "memory": int(memory) / 1024,
            "logins": said.count("Accepted publickey"), "execs": said.count("Starting session: "),
            "up": after[1] - before[1], "down": after[2] - before[2], "said": done.stdout[-2000:],
        }

    def contestants(self, phase):
        bin = self.out / "venv/bin"
        play = [bin / "ansible-playbook", "-i", "hosts.ini", "play.yml"]
        pyinfra = [bin / "pyinfra", "hosts.py", "deploy.py"]
        if phase == "check":
            play += ["--check", "--diff"]
            pyinfra += ["--dry", "--diff"]
        else:
            pyinfra += ["-y"]
        ours = {
            "noop": [SYNPROV, "plan", "--locked", "--detailed-exitcode", "inventory.yaml"],
            "check": [SYNPROV, "plan", "--locked", "--detailed-exitcode", "inventory.yaml"],
            "change": [SYNPROV, "apply", "--yes", "--locked", "--diff", "none", "inventory.yaml"],
        }[phase]
        floor = {"change": [*self.ssh, f"systemctl restart {CLIENT}"]}.get(phase, [*self.ssh, "true"])
        return {
            "ssh": (floor, None), "synprov": (ours, None), "ansible": (play, self.ansible),
            "mitogen": (play, self.mitogen), "pyinfra": (pyinfra, None),
        }


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--rtt", default="0,100")
    parser.add_argument("--phases", default="noop,check,change")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target/bench/rivals")
    parser.add_argument("--only", default="", help="contestants, separated by commas")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "venv/bin/pyinfra").exists():
        run([sys.executable, "-m", "venv", out / "venv"])
        run([out / "venv/bin/pip", "install", "--quiet", *RIVALS])
    frozen = run([out / "venv/bin/pip", "list", "--format", "freeze"])
    versions = [line for line in frozen.splitlines() if line.split("==")[0] in RIVALS]
    bench = Bench(out)
    raw = (out / "raw.ndjson").open("w")
    table = [f"Contestants: {run([SYNPROV, '-V']).strip()}, {', '.join(versions)}.", ""]
    try:
        for rtt in [int(word) for word in arguments.rtt.split(",")]:
            bench.through(rtt)
            bench.settle()
            bench.write_rivals()
            for phase in arguments.phases.split(","):
                contestants = bench.contestants(phase)
                names = [name for name in contestants if not arguments.only or name in arguments.only.split(",")]
                rows = {name: [] for name in names}
                for round in range(-1, arguments.rounds):
                    for turn in range(len(names)):
                        name = names[(turn + round) % len(names)]
                        if phase == "change":
                            bench.another()
                        words, env = contestants[name]
                        row = bench.measure(words, env)
                        # The first round warms what can be warmed.
                        if round >= 0:
                            rows[name].append(row)
                            raw.write(json.dumps({"rtt": rtt, "phase": phase, "round": round, "who": name, **row}) + "\n")
                            raw.flush()
                        print(f"{rtt} ms, {phase}, round {round}: {name} {row['wall']:.2f} s", file=sys.stderr)
                    if phase == "change":
                        # Everybody is given the same again, so that the next phase has nothing to do.
                        bench.settle()
                table += report(phase, rtt, arguments.rounds, bench.counted, rows)
                (out / "table.md").write_text("\n".join(table) + "\n")
    finally:
        bench.stop()
        subprocess.run([SYNPROV, "lab", "down", LAB], capture_output=True)
    print("\n".join(table))


def report(phase, rtt, rounds, counted, rows):
    what = {"noop": "nothing to do", "check": "a look at what would change", "change": "one file changes, its worker restarts"}[phase]
    ours = median(rows["synprov"], "wall") if "synprov" in rows else None
    lines = [
        f"### {what}, {rtt} ms round trip",
        "",
        f"{counted.get('file', 0)} files, {counted.get('secret', 0)} secrets, {counted.get('directory', 0)} directories, {counted.get('service', 0)} services; medians of {rounds} rounds.",
        "",
        "| | wall s | range | × synprov | CPU s here | peak MB | log-ins | execs | kB there | kB back |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    names = {"ssh": "`ssh`, the floor", "ansible": "Ansible", "mitogen": "Ansible + Mitogen"}
    for name, all in rows.items():
        walls = [row["wall"] for row in all]
        times = f"{median(all, 'wall') / ours:.1f}" if ours else ""
        lines.append(
            f"| {names.get(name, name)} | {median(all, 'wall'):.2f} | {min(walls):.2f}–{max(walls):.2f} | {times} "
            f"| {median(all, 'cpu'):.2f} | {median(all, 'memory'):.0f} | {median(all, 'logins'):.0f} | {median(all, 'execs'):.0f} "
            f"| {median(all, 'up') / 1000:.0f} | {median(all, 'down') / 1000:.0f} |"
        )
    return lines + [""]


if __name__ == "__main__":
    main()
