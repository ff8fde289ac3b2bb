"""Stands where a process of Synapse would: listens where its configuration says, answers 200, is connected with Redis
and the processes that it replicates from, says when it is ready.

python stub.py -m synapse.app.NAME --config-path=PATH...
"""

import http.server
import os
import socket
import sys
import threading

import yaml

config = {}
for word in sys.argv[1:]:
    if word.startswith("--config-path="):
        path = word.partition("=")[2]
        files = sorted(os.path.join(path, one) for one in os.listdir(path)) if os.path.isdir(path) else [path]
        for file in files:
            if file.endswith(".yaml"):
                config.update(yaml.safe_load(open(file)) or {})


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *_):
        pass


worker = "worker_name" in config
own = config["worker_listeners"] if worker else config["listeners"]
for listener in own:
    for address in listener.get("bind_addresses", ["127.0.0.1"]):
        server = http.server.ThreadingHTTPServer((address, listener["port"]), Answer)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 3600}, daemon=True).start()
others = [config["redis"]] + [other for other in config.get("instance_map", {}).values() if worker]
held = [socket.create_connection((other["host"], other["port"])) for other in others if "port" in other]
if where := os.environ.get("NOTIFY_SOCKET"):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.sendto(b"READY=1", where.replace("@", "\0", 1) if where.startswith("@") else where)
threading.Event().wait()
