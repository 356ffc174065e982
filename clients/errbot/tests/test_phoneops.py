"""The plugin on Errbot's own test backend, against a server that checks every signature."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

pytest_plugins = ["errbot.backends.test"]
extra_plugin_dir = str(Path(__file__).parent.parent / "phoneops")
extra_config = {"SUPPRESS_CMD_NOT_FOUND": True}

MARKED = "*All* __your__ `apps` are [down](x) <b>now</b> &amp; api/new_auth {: color='red' } \\_ #1"
BUTTONS = [{"label": "Acknowledge", "command": "ack PAAAAAA"}, {"label": "Resolve", "command": "resolve PAAAAAA"}]
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Server(BaseHTTPRequestHandler):
    """Answers a line with itself, and tells one post to whoever follows."""

    heard: list = []
    told = threading.Event()

    def signed(self, body: bytes) -> bool:
        url = f"http://127.0.0.1:{self.server.server_port}{self.path}"
        text = b"\n".join([url.encode(), self.headers["Chatops-Nonce"].encode(), self.headers["Chatops-Timestamp"].encode(), body])
        scheme, members = self.headers["Chatops-Signature"].split(" ", 1)
        name, signature = (member.split("=", 1)[1] for member in members.split(","))
        KEY.public_key().verify(base64.b64decode(signature), text, padding.PKCS1v15(), hashes.SHA256())
        return scheme == "Signature" and name == "errbot"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.signed(body)
        said = json.loads(body)
        Server.heard.append(said)
        self.send_response(200)
        self.end_headers()
        reply = {"result": f"heard: {said['params']['line']}", "buttons": BUTTONS}
        self.wfile.write(json.dumps(reply).encode())

    def do_GET(self):
        assert self.signed(b"")
        self.send_response(200)
        self.end_headers()
        if not Server.told.is_set():
            Server.told.set()
            post = {"posts": [{"room_id": "gbin@localhost", "result": "Approved by Yannick Schutz"}]}
            self.wfile.write(f"id: 7\nevent: posts\ndata: {json.dumps(post)}\n\n".encode())
            self.wfile.flush()
        threading.Event().wait(1)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    http = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()


def test_lines_are_forwarded_and_what_became_of_them_is_said(testbot, server, tmp_path):
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    config = {"url": server, "key_file": str(tmp_path / "key.pem"), "key_name": "errbot", "whisper": False}
    testbot.bot.plugin_manager.set_plugin_configuration("PhoneOps", config)
    testbot.bot.plugin_manager.deactivate_plugin("PhoneOps")
    testbot.bot.plugin_manager.activate_plugin("PhoneOps")
    assert testbot.pop_message(timeout=30) == "Approved by Yannick Schutz"
    testbot.push_message(f"!page @yannick {MARKED}")
    shown = "Acknowledge: !ack PAAAAAA | Resolve: !resolve PAAAAAA"
    assert testbot.pop_message(timeout=30) == f"heard: page @yannick {MARKED}\n{shown}"
    [said] = Server.heard
    assert said["method"] == "line" and said["user"] and said["room_id"]
