# Run by import.sh with a process' own Python: its configuration files, secrets by their places only.
import json, os, re, sys

os.chdir(sys.argv[1])
SECRET = re.compile(r"(secret|passw|pass$|_pass_|token|api_?key|private|credential|salt|pepper|dsn|authorization|cookie|^key$|_key$)", re.I)
PLAIN = re.compile(r"(_path|_file|_config|_lifetime|_enabled|_policy|_timeout|_instances)$", re.I)
LOGIN = re.compile(r"://[^/@\s]*:[^/@\s]*@|-----BEGIN [A-Z ]*PRIVATE KEY")
MARK = {"__secret__": True}


def masked(value, secret=False):
    if isinstance(value, dict):
        return {
            str(key): masked(one, secret or (bool(SECRET.search(str(key))) and not PLAIN.search(str(key))))
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [masked(one, secret) for one in value]
    if value is None or isinstance(value, bool):
        return value
    if secret or (isinstance(value, str) and LOGIN.search(value)):
        return MARK if value != "" else ""
    if isinstance(value, (int, float)):
        return value if value == value and abs(value) != float("inf") else str(value)
    return str(value)


def files(paths):
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        for name in sorted(os.listdir(path)):
            if name.endswith(".yaml") and os.path.isfile(os.path.join(path, name)):
                yield os.path.join(path, name)


answer = {"files": [], "version": None, "errors": []}
try:
    import importlib.metadata

    answer["version"] = importlib.metadata.version("matrix-synapse")
except Exception:
    answer["errors"].append("the version of Synapse")
import yaml

for path in files(sys.argv[2:]):
    full = os.path.abspath(path)
    try:
        with open(full, encoding="utf-8") as file:
            value = yaml.safe_load(file)
        if value is not None and not isinstance(value, dict):
            raise ValueError
        answer["files"].append({"path": full, "config": masked(value or {})})
    except Exception:
        # What it says might quote the file.
        answer["errors"].append(full)
print(json.dumps(answer))
