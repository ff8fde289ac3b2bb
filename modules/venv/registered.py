# Whether the Synapse that is installed accepts the configuration of processes, and what they serve, in
# its own words: run with the venv's own Python, for Synapse 1.90 and later. No database, no Redis, no
# network: each kind of process is built from its real configuration over an empty SQLite database in
# memory, its HTTP listeners are caught before they listen, and what hangs below them is written out.
#
# Arguments: JSON [main's configuration paths, whether main is asked too, [[name, [configuration path,
# ...]], ...]], processes of this host (the configuration as it stands or as it is laid over); a
# directory of Python modules, or nothing.
# Output: for each kind of process a line of JSON
#     {"processes": [NAME, ...], "served": [[WHERE, METHODS, PATTERN], ...]}
# in the order in which Synapse tries the patterns. WHERE is where the resource hangs, METHODS are
# separated by spaces, one that a worker refuses begins with "-". Before them comes the line of the
# processes [], a main process that also handles media: what a lone main would serve.
# What is wrong goes to standard error, as "NAME: Error: what"; the exit status is 1 then.
import gc

# It ends soon, and importing Synapse takes a fifth less without.
gc.disable()

import hashlib
import json
import logging
import os
import re
import sys
import tempfile
import warnings

# The admin's own modules.
if sys.argv[2:3] > [""]:
    sys.path.insert(0, sys.argv[2])
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

import yaml
from twisted.web.resource import Resource
from synapse.app import _base, generic_worker, homeserver
from synapse.config.database import DatabaseConnectionConfig
from synapse.config.homeserver import HomeServerConfig
from synapse.config._base import find_config_files
from synapse.http.server import JsonResource
from synapse.storage import databases

# What two processes of one kind differ in, and what does not change what they serve.
OWN = {"worker_name", "worker_listeners", "worker_log_config", "log_config", "database"}


def prepare_database(connection, engine, config, *arguments, **named):
    # A worker refuses to fill an empty database.
    app, config.worker.worker_app = config.worker.worker_app, None
    try:
        original_prepare(connection, engine, config, *arguments, **named)
    finally:
        config.worker.worker_app = app


original_prepare, databases.prepare_database = databases.prepare_database, prepare_database

caught = []


def catch(*arguments, **named):
    caught.extend(one for one in list(arguments) + list(named.values()) if hasattr(one, "getSite") or isinstance(one, Resource))
    return []


_base.listen_http = homeserver.listen_http = catch


def load(paths, here):
    """A process' configuration, accepted by Synapse. One that runs elsewhere has its log configuration there."""
    config = HomeServerConfig.load_config("synprov", [word for path in paths for word in ("--config-path", path)])
    if not here:
        return config
    log = config.worker.worker_log_config or config.logging.log_config
    if not log or not os.path.isfile(log):
        raise ValueError("log configuration %s does not exist" % log)
    with open(log) as file:
        yaml.safe_load(file)
    return config


def build(config):
    config.database.databases = [DatabaseConnectionConfig("master", {"name": "sqlite3", "args": {"database": ":memory:"}})]
    config.redis.redis_enabled = False
    app = homeserver.SynapseHomeServer if config.worker.worker_app is None else generic_worker.GenericWorkerServer
    hs = app(config.server.server_name, config=config)
    hs.setup()
    del caught[:]
    if config.worker.worker_app is None:
        for listener in config.server.listeners:
            if listener.type == "http":
                hs._listener_http(config, listener)
    else:
        for listener in config.worker.worker_listeners:
            if listener.type == "http":
                hs._listen_http(listener)
    served = []
    for root in caught:
        walk("", root, config.worker.worker_app is not None, served)
    return served


def walk(where, resource, worker, served):
    resource = getattr(resource, "original", resource)
    # Replication is between processes, and every listener answers /health.
    if where in ("/_synapse/replication", "/health"):
        return
    if isinstance(resource, JsonResource):
        for pattern, methods in resource._routes.items():
            words = []
            for method, entry in methods.items():
                owner = getattr(getattr(entry.callback, "__wrapped__", entry.callback), "__self__", None)
                method = method.decode("ascii")
                refused = worker and method in getattr(owner, "WORKERS_DENIED_METHODS", ())
                words.append("-" + method if refused else method)
            served.append([where, " ".join(sorted(words)), pattern.pattern])
        return
    methods = methods_of(resource)
    if methods and where:
        # A resource that looks its children up when it is asked for them is not known further down.
        deep = resource.isLeaf or type(resource).getChild is not Resource.getChild
        end = "(?:/.*)?$" if deep else "$"
        served.append([where, " ".join(methods), "^" + re.escape(where) + end])
    for segment, child in sorted(resource.children.items()):
        if segment:
            walk(where + "/" + segment.decode("utf-8"), child, worker, served)
        elif methods_of(child):
            served.append([where, " ".join(methods_of(child)), "^" + re.escape(where) + "/$"])


def methods_of(resource):
    # Stand-ins that only answer OPTIONS or 404.
    if type(resource) is Resource or type(resource).__name__ in ("OptionsResource", "RootOptionsRedirectResource", "UnrecognizedRequestResource", "NoResource"):
        return []
    found = []
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        own = getattr(type(resource), "render_" + method, None)
        if own is not None or hasattr(resource, "_async_render_" + method):
            found.append(method)
    return found


def kind(paths):
    # Synapse merges its files shallowly, in this order.
    merged = {}
    for path in find_config_files(paths):
        with open(path) as file:
            merged.update(yaml.safe_load(file) or {})
    listeners = merged.get("worker_listeners" if merged.get("worker_app") else "listeners") or []
    names = [one.get("resources") for one in listeners if one.get("type") == "http"]
    kept = {key: value for key, value in merged.items() if key not in OWN}
    return hashlib.sha256(json.dumps([kept, names], sort_keys=True, default=str).encode()).hexdigest()


def main():
    main_paths, asks_main, processes = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        # Synapse makes these directories when it reads of them. They are elsewhere, and change nothing of what is served.
        stores = {"media_store_path": os.path.join(directory, "media"), "media_storage_providers": []}
        away = written(directory, "away.yaml", stores)
        lone = written(directory, "lone.yaml", dict(stores, enable_media_repo=True))
        asked = [("main", main_paths + [away], False)] if asks_main else []
        asked += [(name, paths, True) for name, paths in processes]
        good = ask(asked, ("main", main_paths + [lone], False))
    sys.exit(not good)


def written(directory, name, config):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        json.dump(config, file)
    return path


def ask(asked, lone):
    """Whether all is well."""
    groups, unread = {}, {}
    for name, paths, here in asked:
        try:
            groups.setdefault(kind(paths), []).append((name, paths, here))
        except Exception as error:
            # Most likely of a file that all of them share.
            unread.setdefault(str(error), (error, []))[1].append(name)
    for error, names in unread.values():
        complain(names, error)
    kinds = [([], [lone])]
    kinds += [([name for name, *_ in group], group) for group in groups.values()]
    return tell(kinds) and not unread


def tell(kinds):
    # Synapse keeps some of what it registers in globals: each kind gets a process of its own.
    limit = min(4, len(os.sched_getaffinity(0)))
    running, states, ends = {}, {}, []

    def wait():
        pid, status = os.wait()
        states[running.pop(pid)] = status

    for at, (names, group) in enumerate(kinds):
        if len(running) == limit:
            wait()
        out, err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+", errors="replace")
        child = os.fork()
        if child == 0:
            answer(names, group, out, err)
        running[child] = at
        ends.append((out, err))
    while running:
        wait()
    said = set()
    for at, (out, err) in enumerate(ends):
        out.seek(0)
        err.seek(0)
        if os.WIFSIGNALED(states[at]):
            # It could not say so itself.
            names = [name for name, *_ in kinds[at][1]]
            complain(names, ChildProcessError("killed by signal %d; is there enough memory?" % os.WTERMSIG(states[at])))
        # Synapse warns of the shared configuration once for each process.
        for line in err:
            if line not in said:
                said.add(line)
                sys.stderr.write(line)
        sys.stderr.flush()
        sys.stdout.write(out.read())
        sys.stdout.flush()
    return not any(states.values())


def answer(names, group, out, err):
    """In a process of its own, which ends here."""
    status = 1
    try:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        configs = []
        # What Synapse warns of in a configuration is for the log of an apply.
        logging.disable(logging.NOTSET)
        for name, paths, here in group:
            try:
                configs.append(load(paths, here))
            except BaseException as error:
                complain([name], error)
        logging.disable(logging.CRITICAL)
        if len(configs) == len(group):
            try:
                print(json.dumps({"processes": names, "served": build(configs[0])}), flush=True)
                status = 0
            except BaseException as error:
                complain(names or ["main"], error)
    finally:
        os._exit(status)


def complain(names, error):
    print("%s: %s: %s" % (", ".join(names), type(error).__name__, error), file=sys.stderr, flush=True)


main()
