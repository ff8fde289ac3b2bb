#!/usr/bin/env python3
"""synprov against ansible-core, ansible-core with Mitogen, and pyinfra, doing the same work on the same throwaway host.

What the rivals are to do is written from what synprov itself keeps on the host of the generation that it applied
(files with their bytes, owners and modes, directories, user, packages, Python environment, directives, units), so that
nobody can say it differs. They do less: no validation before anything is put in place, no check of the routes, no
look at PostgreSQL's role and settings, no waiting until a process is ready.

Ansible runs in its fastest set-up: pipelining, ControlPersist, facts not gathered, a task with a loop for each kind,
one connection for all runs of a round. pyinfra runs with -y. All go through benches/rivals/relay.py, which adds the
round trip and counts bytes; log-ins and execs are counted by the host's sshd.

    run.py [--rounds 10] [--hosts 1] [--rtt 0,100] [--phases noop,check,change] [--only ssh,synprov] [--out DIRECTORY]

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
PROGRAMS = ROOT / "target/bench/rivals/venv"
RIVALS = ["ansible-core", "mitogen", "pyinfra"]


def run(words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def on_host(script, name="hs1"):
    return run(["podman", "exec", "-i", f"synprov-lab-{LAB}.{name}", "bash", "-ec", script])


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def widened(number):
    """The inventory for so many hosts: what is on the first one, and two workers on each other one."""
    text = (HERE / "inventory.yaml").read_text()
    others = range(2, number + 1)
    hosts = "".join(f"  hs{at}: {{address: 192.0.2.{at + 9}, internal_address: 198.51.100.{at + 9}, user: root}}\n" for at in others)
    if not others:
        return text
    first = "  hs1: {address: 192.0.2.10, user: root}\n"
    text = text.replace(first, first.replace("user", "internal_address: 198.51.100.10, user") + hosts)
    return text + f"  far: {{hosts: {{{', '.join(f'hs{at}: 2' for at in others)}}}, handles: [client_reader]}}\n"


def pyinfra_hosts(addresses, key, known_hosts):
    """hosts.py: name to address and port, each with what it has to do."""
    return f"""import json, pathlib
def host(name, address, port):
    data = json.loads(pathlib.Path(f"host_vars/{{name}}.json").read_text())
    ssh = {{"ssh_hostname": address, "ssh_port": port, "ssh_user": "root", "ssh_key": {key!r}, "ssh_known_hosts_file": {str(known_hosts)!r}, "ssh_strict_host_key_checking": "yes", "ssh_config_file": "/dev/null"}}
    return (name, {{**data, **ssh}})
hosts = [host(name, *there) for name, there in {addresses!r}.items()]
"""


PLAY = """- hosts: all
  gather_facts: false
  tasks:
    - name: packages
      ansible.builtin.apt: {name: "{{ packages }}", state: present}
    - name: user
      ansible.builtin.user: {name: "{{ item.name }}", home: "{{ item.home }}", system: true, create_home: false}
      loop: "{{ users }}"
      loop_control: {label: "{{ item.name }}"}
    - name: directories
      ansible.builtin.file: {path: "{{ item.path }}", owner: "{{ item.owner }}", group: "{{ item.group }}", mode: "{{ item.mode }}", state: directory}
      loop: "{{ directories }}"
      loop_control: {label: "{{ item.path }}"}
    - name: environment
      ansible.builtin.pip: {name: "{{ requirements }}", virtualenv: "{{ venv }}", virtualenv_command: python3 -m venv}
    - name: files
      ansible.builtin.copy: {src: "{{ item.local }}", dest: "{{ item.path }}", owner: "{{ item.owner }}", group: "{{ item.group }}", mode: "{{ item.mode }}"}
      loop: "{{ files }}"
      loop_control: {label: "{{ item.path }}"}
    - name: a worker's file
      ansible.builtin.copy: {src: "{{ item.local }}", dest: "{{ item.path }}", owner: "{{ item.owner }}", group: "{{ item.group }}", mode: "{{ item.mode }}"}
      loop: "{{ changed }}"
      loop_control: {label: "{{ item.path }}"}
      register: worker
    - name: directive
      ansible.builtin.replace: {path: "{{ item.path }}", regexp: "{{ item.name }} \\\\d+;", replace: "{{ item.name }} {{ item.value }};"}
      loop: "{{ directives }}"
      loop_control: {label: "{{ item.path }}"}
    - name: services
      ansible.builtin.systemd_service: {name: "{{ item }}", state: started, enabled: true}
      loop: "{{ units }}"
    - name: restart
      ansible.builtin.systemd_service: {name: CLIENT, state: restarted}
      when: worker is changed
""".replace("CLIENT", CLIENT)

DEPLOY = """from pyinfra import host
from pyinfra.operations import apt, files, pip, server, systemd

data = host.data
apt.packages(packages=data.packages)
for one in data.users:
    server.user(user=one["name"], home=one["home"], system=True, ensure_home=False)
for one in data.directories:
    files.directory(path=one["path"], user=one["owner"], group=one["group"], mode=one["mode"])
pip.packages(packages=data.requirements, pip=data.venv + "/bin/pip")
worker = None
for one in data.files + data.changed:
    worker = files.put(src=one["local"], dest=one["path"], user=one["owner"], group=one["group"], mode=one["mode"])
for one in data.directives:
    files.replace(path=one["path"], text=one["name"] + r" \\d+;", replace=f"{one['name']} {one['value']};")
for unit in data.units:
    systemd.service(service=unit, running=True, enabled=True)
if data.changed:
    systemd.service(service="CLIENT", running=True, restarted=True, _if=worker.did_change)
""".replace("CLIENT", CLIENT)


class Bench:
    def __init__(self, out, number=1):
        self.out, self.number = out, number
        self.counter = 2000
        self.relays = []
        subprocess.run([SYNPROV, "lab", "down", LAB], capture_output=True)
        work = out / f"{LAB}.yaml"
        work.write_text(widened(number))
        print(f"provisioning {number} throwaway host(s) …", file=sys.stderr)
        run([SYNPROV, "rehearse", "--keep", "--warm", work])
        self.hosts = {one["name"]: one for one in json.loads(run([SYNPROV, "lab", "list", "--json"])) if one["lab"] == LAB}
        keys = {}
        for line in pathlib.Path(self.hosts["hs1"]["known_hosts"]).read_text().splitlines():
            names, kind, blob = line.split()[:3]
            keys[names.split(",")[1]] = f"{kind} {blob}"
        self.keys = keys
        for name in self.hosts:
            # Ansible's pip module wants the one, its apt module the other (in check mode it does not install it by itself).
            on_host("apt-get -qq update && apt-get -qq install -y python3-apt python3-packaging python3-setuptools > /dev/null 2>&1", name)
            on_host("echo 'LogLevel VERBOSE' > /etc/ssh/sshd_config.d/bench.conf; systemctl reload ssh", name)

    # The way there

    def through(self, milliseconds):
        self.stop()
        self.ports, self.counts = {}, {}
        for name, host in self.hosts.items():
            port = self.ports[name] = free_port()
            counts = self.counts[name] = self.out / f"counts.{name}"
            counts.write_text("0 0 0")
            words = [sys.executable, HERE / "relay.py", port, host["address"], 22, milliseconds, counts]
            self.relays.append(subprocess.Popen([str(word) for word in words]))
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
        self.inventories()

    def stop(self):
        for relay in self.relays:
            relay.kill()
            relay.wait()
        self.relays = []

    # What each contestant is given

    def inventory(self, value):
        text = widened(self.number)
        for name, host in self.hosts.items():
            internal = f"internal_address: {host['internal_address']}, " if self.number > 1 else ""
            there = (
                f"{name}: {{address: 127.0.0.1, port: {self.ports[name]}, {internal}"
                f"user: root, identity_files: [{host['key']}], host_key: {self.keys[name]}}}"
            )
            text = re.sub(rf"^  {name}: .*", f"  {there}", text, count=1, flags=re.M)
        return text.replace("event_cache_size: 1000", f"event_cache_size: {value}")

    def inventories(self):
        site = self.out / "site"
        site.mkdir(exist_ok=True)
        self.key = self.hosts["hs1"]["key"]
        (site / "known_hosts").write_text("".join(f"[127.0.0.1]:{port} {self.keys[name]}\n" for name, port in self.ports.items()))
        common = f"-o UserKnownHostsFile={site / 'known_hosts'} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none"
        self.ssh = ["ssh", "-F", "none", *common.split(), "-o", "LogLevel=ERROR", "-i", self.key]
        (site / "inventory.yaml").write_text(self.inventory(self.counter))
        ansible = "".join(
            f"{name} ansible_host=127.0.0.1 ansible_port={port} ansible_user=root ansible_ssh_private_key_file={self.key} ansible_python_interpreter=/usr/bin/python3\n"
            for name, port in self.ports.items()
        )
        (site / "hosts.ini").write_text(ansible)
        addresses = {name: ("127.0.0.1", port) for name, port in self.ports.items()}
        (site / "hosts.py").write_text(pyinfra_hosts(addresses, self.key, site / "known_hosts"))
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
        plugins = list(PROGRAMS.glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy"))
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
        """A play and a deploy, and for each host what they are to do there, from the generation that it keeps."""
        site = self.out / "site"
        shutil.rmtree(site / "files", ignore_errors=True)
        shutil.rmtree(site / "host_vars", ignore_errors=True)
        (site / "host_vars").mkdir()
        self.kinds, self.work = {}, {}
        for name in self.hosts:
            self.work[name] = self.read(name, site / "files" / name)
            (site / "host_vars" / f"{name}.json").write_text(json.dumps(self.work[name]))
        self.changed = self.work["hs1"]["changed"]
        whole = [len(work["files"]) + len(work["changed"]) for work in self.work.values()]
        self.counted = f"{self.number} host(s), {sum(whole)} files, {sum(len(work['units']) for work in self.work.values())} services"
        (site / "play.yml").write_text(PLAY)
        (site / "deploy.py").write_text(DEPLOY)

    def read(self, name, files):
        """What there is to do on one host; the bytes of its files go to `files`."""
        state = "/var/lib/synprov/bench.example"
        text = on_host(f"cat {state}/generations/$(ls {state}/generations | sort -n | tail -n 1)/resources.json", name)
        kinds = self.kinds[name] = {}
        for one in json.loads(text):
            one = one.get("body", one)
            kinds.setdefault(one["kind"], []).append(one)
        files.mkdir(mode=0o700, parents=True)
        whole = kinds.get("file", []) + kinds.get("secret", [])
        for number, one in enumerate(whole):
            local = files / f"{number:03}"
            read = ["podman", "exec", f"synprov-lab-{LAB}.{name}", "cat", one["path"]]
            local.write_bytes(subprocess.run(read, capture_output=True, check=True).stdout)
            one["local"] = str(local)
        (venv,) = kinds["venv"]
        # What is there: a lock may not have it, if the environment was built by the rehearsal.
        frozen = on_host(f"{venv['path']}/bin/python -m pip --disable-pip-version-check list --format freeze", name)
        keys = ["path", "owner", "group", "mode"]
        row = lambda one: {key: one[key] for key in [*keys, "local"] if key in one}
        changes = lambda one: one["path"].endswith("/workers/client.yaml")
        return {
            "packages": sorted({package for one in kinds.get("packages", []) for package in one["packages"]}),
            "users": [{"name": user["name"], "home": user["home"]} for user in kinds.get("user", [])],
            "directories": [row(one) for one in kinds.get("directory", [])],
            "venv": venv["path"],
            "requirements": [line for line in frozen.split() if line.split("==")[0] not in ("pip", "setuptools")],
            "files": [row(one) for one in whole if not changes(one)],
            "changed": [row(one) for one in whole if changes(one)],
            "directives": [
                {"path": one["path"], "name": one["directive"], "value": self.directive(one, name)}
                for one in kinds.get("directive", [])
            ],
            "units": [one["unit"] for one in kinds.get("service", [])],
        }

    def directive(self, one, name="hs1"):
        return re.search(rf"{one['directive']} (\d+);", on_host(f"cat {one['path']}", name)).group(1)

    def another(self):
        """Something new for a worker's file, in what everybody is given."""
        self.counter += 1
        (self.out / "site/inventory.yaml").write_text(self.inventory(self.counter))
        (changed,) = self.changed
        local = pathlib.Path(changed["local"])
        local.write_text(re.sub(r"event_cache_size: \d+", f"event_cache_size: {self.counter}", local.read_text()))

    # Measuring

    def measure(self, words, env=None):
        cursor = "journalctl --sync; journalctl --lines=0 --show-cursor --quiet | sed -n 's/^-- cursor: //p'"
        cursors = {name: on_host(cursor, name).strip() for name in self.hosts}
        before = self.carried()
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
        after = self.carried()
        said = "".join(
            on_host(f"journalctl --sync; journalctl --unit=ssh --output=cat --after-cursor='{cursors[name]}'", name)
            for name in self.hosts
        )
        return {
            "wall": wall, "cpu": float(user) + float(system), "memory": int(memory) / 1024,
            "logins": said.count("Accepted publickey"), "execs": said.count("Starting session: "),
            "up": after[1] - before[1], "down": after[2] - before[2], "said": done.stdout[-2000:],
        }

    def carried(self):
        """Connections, bytes there and bytes back, over all hosts."""
        counts = [[int(word) for word in path.read_text().split()] for path in self.counts.values()]
        return [sum(each) for each in zip(*counts)]

    def floor(self, command):
        """`ssh HOST command`, all hosts at once."""
        one = lambda port: " ".join([*self.ssh, "-p", str(port), "root@127.0.0.1", f"'{command}'"])
        return ["bash", "-c", " & ".join(one(port) for port in self.ports.values()) + " & wait"]

    def contestants(self, phase):
        bin = PROGRAMS / "bin"
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
        restart = [*self.ssh, "-p", str(self.ports["hs1"]), "root@127.0.0.1", f"systemctl restart {CLIENT}"]
        floor = restart if phase == "change" else self.floor("true")
        return {
            "ssh": (floor, None), "synprov": (ours, None), "ansible": (play, self.ansible),
            "mitogen": (play, self.mitogen), "pyinfra": (pyinfra, None),
        }


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def programs():
    """The rivals, in an environment of their own."""
    if not (PROGRAMS / "bin/pyinfra").exists():
        run([sys.executable, "-m", "venv", PROGRAMS])
        run([PROGRAMS / "bin/pip", "install", "--quiet", *RIVALS])


def contestants_said():
    frozen = run([PROGRAMS / "bin/pip", "list", "--format", "freeze"])
    versions = [line for line in frozen.splitlines() if line.split("==")[0] in RIVALS]
    return f"Contestants: {run([SYNPROV, '-V']).strip()}, {', '.join(versions)}."


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--rtt", default="0,100")
    parser.add_argument("--phases", default="noop,check,change")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target/bench/rivals")
    parser.add_argument("--only", default="", help="contestants, separated by commas")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    programs()
    bench = Bench(out, arguments.hosts)
    raw = (out / "raw.ndjson").open("w")
    table = [contestants_said(), ""]
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
        f"{counted}; medians of {rounds} rounds.",
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
