# A person's client through nginx: sends, syncs and uploads until it is told to end; counts what did not work.
import json, os, sys, time, urllib.request, hmac, hashlib

BASE = "http://127.0.0.1"
DONE = "/tmp/client.done"
COUNT = "/tmp/client.count"


def ask(method, path, body=None, token=None, kind="application/json"):
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data=data, method=method)
    request.add_header("Host", "example.org")
    request.add_header("Content-Type", kind)
    if token:
        request.add_header("Authorization", "Bearer " + token)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def register():
    # Straight to main: nginx need not pass the administration on.
    global BASE
    BASE = "http://127.0.0.1:8008"
    nonce = ask("GET", "/_synapse/admin/v1/register")["nonce"]
    mac = hmac.new(b"hand-made-registration", digestmod=hashlib.sha1)
    mac.update(b"\0".join([nonce.encode(), b"alice", b"wonderland", b"notadmin"]))
    body = {"nonce": nonce, "username": "alice", "password": "wonderland", "admin": False, "mac": mac.hexdigest()}
    token = ask("POST", "/_synapse/admin/v1/register", body)["access_token"]
    BASE = "http://127.0.0.1"
    return token


path = "/tmp/client.token"
if not os.path.exists(path):
    token = register()
    room = ask("POST", "/_matrix/client/v3/createRoom", {}, token)["room_id"]
    with open(path, "w") as file:
        file.write(token + " " + room)
token, room = open(path).read().split()
good, bad, since, number = 0, [], None, time.time_ns()
while True:
    for name in ["send", "sync", "upload", "members"]:
        try:
            if name == "send":
                number += 1
                ask("PUT", f"/_matrix/client/v3/rooms/{room}/send/m.room.message/{number}", {"msgtype": "m.text", "body": "x"}, token)
            elif name == "sync":
                at = f"&since={since}" if since else ""
                since = ask("GET", f"/_matrix/client/v3/sync?timeout=1000{at}", None, token)["next_batch"]
            elif name == "upload":
                ask("POST", "/_matrix/media/v3/upload", b"picture", token, "text/plain")
            else:
                ask("GET", f"/_matrix/client/v3/rooms/{room}/joined_members", None, token)
            good += 1
        except Exception as error:
            bad.append(f"{name}: {error}")
    with open(COUNT + ".new", "w") as file:
        file.write(f"{good} {len(bad)} {bad[:5]}")
    os.rename(COUNT + ".new", COUNT)
    if os.path.exists(DONE):
        sys.exit(0)
