"""Stands in for a push server and for Google, and has libraries of PyPI read what arrives: http_ece decrypts, PyJWT verifies. What comes to
Apple is asked of the simulator.

usage: push.py prepare FOLDER      makes FOLDER/fcm.json, an account whose access tokens are got here
       push.py PHONE_FILE FOLDER APPLE_ADMIN_URL APPLE_KEY_FILE KEY_ID TEAM_ID
"""

import base64
import http.server
import json
import os
import queue
import socket
import sys
import threading
import time
import urllib.parse
import urllib.request

import http_ece
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from phone import Phone, b64u, read

PEM, PKCS8, PLAIN = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


def prepare(folder: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = rsa.generate_private_key(65537, 2048).private_bytes(PEM, PKCS8, PLAIN).decode()
    account = {"type": "service_account", "project_id": "phoneops-peers", "private_key_id": "k1", "private_key": key,
               "client_email": "push@phoneops-peers.example", "token_uri": f"http://127.0.0.1:{port}/token"}
    with open(os.open(f"{folder}/fcm.json", os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        json.dump(account, file)
    print(port)


received: queue.Queue = queue.Queue()


class Provider(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {"unifiedpush": {"version": 1}})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.put((self.path, dict(self.headers.items()), body))
        if self.path == "/token":
            self.answer(200, {"access_token": "t1", "expires_in": 3599, "token_type": "Bearer"})
        elif self.path.startswith("/v1/projects/"):
            self.answer(200, {"name": "projects/phoneops-peers/messages/1"})
        else:
            self.answer(201, {})

    def answer(self, status: int, body: dict) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format, *args):
        pass


def refuses(token: str, key, **checks) -> bool:
    """Whether the library refuses the token when its last signed character is another."""
    head, claims, signature = token.split(".")
    changed = claims[:-1] + ("A" if claims[-1] != "A" else "Q")
    try:
        jwt.decode(f"{head}.{changed}.{signature}", key, **checks)
    except jwt.InvalidTokenError:
        return True
    return False


def web_push(phone: Phone, port: int) -> None:
    key, auth = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
    point = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    keys = {"p256dh": b64u(key.public_key().public_bytes(*point)), "auth": b64u(auth)}
    endpoint = f"http://127.0.0.1:{port}/up/secret"
    phone.call("PUT", f"/v1/devices/{phone.device}/push", {"kind": "unified_push", "endpoint": endpoint, "keys": keys})
    phone.call("POST", "/v1/me/test-page", {})
    path, headers, body = received.get(timeout=20)
    headers = {name.lower(): value for name, value in headers.items()}
    assert path == "/up/secret" and headers["content-encoding"] == "aes128gcm", (path, headers)
    shown = json.loads(http_ece.decrypt(body, private_key=key, auth_secret=auth, version="aes128gcm"))
    assert shown["web_push"] == 8030 and shown["notification"]["data"]["kind"] == "test", shown
    scheme, _, fields = headers["authorization"].partition(" ")
    fields = dict(field.strip().split("=", 1) for field in fields.split(","))
    point = base64.urlsafe_b64decode(fields["k"] + "=" * (-len(fields["k"]) % 4))
    vapid = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    checks = {"algorithms": ["ES256"], "audience": f"http://127.0.0.1:{port}", "options": {"require": ["aud", "exp", "sub"]}}
    claims = jwt.decode(fields["t"], vapid, **checks)
    assert scheme == "vapid" and refuses(fields["t"], vapid, **checks)
    print(f"Web Push: http_ece reads {len(body)} bytes as {shown['notification']['title']!r}; PyJWT verifies VAPID for {claims['aud']}")


def fcm(phone: Phone, account: dict) -> None:
    phone.call("PUT", f"/v1/devices/{phone.device}/push", {"kind": "fcm", "token": "a:registration"})
    phone.call("POST", "/v1/me/test-page", {})
    path, _, form = received.get(timeout=20)
    form = dict(urllib.parse.parse_qsl(form.decode()))
    assert path == "/token" and form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer", form
    key = serialization.load_pem_private_key(account["private_key"].encode(), None).public_key()
    checks = {"algorithms": ["RS256"], "audience": account["token_uri"], "issuer": account["client_email"],
              "options": {"require": ["iss", "aud", "iat", "exp"]}}
    claims = jwt.decode(form["assertion"], key, **checks)
    assert claims["exp"] - claims["iat"] <= 3600 and claims["scope"].endswith("/auth/firebase.messaging"), claims
    assert refuses(form["assertion"], key, **checks)
    path, headers, body = received.get(timeout=20)
    message = json.loads(body)["message"]
    assert path == "/v1/projects/phoneops-peers/messages:send" and headers["authorization"] == "Bearer t1", (path, headers)
    assert message["token"] == "a:registration" and message["data"]["kind"] == "test", message
    assert all(isinstance(value, str) for value in message["data"].values()) and len(body) <= 4096, message
    print(f"FCM: PyJWT verifies the assertion of {claims['iss']}; {len(body)} bytes, {message['data']['title']!r}")


def apns(phone: Phone, admin: str, key_file: str, key_id: str, team: str) -> None:
    def ask(path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        return read(urllib.request.Request(admin + path, data, {"Content-Type": "application/json"}))

    device = ask("/devices", {})["token"]
    phone.call("PUT", f"/v1/devices/{phone.device}/push", {"kind": "apns", "token": device})
    for seen in range(3):
        phone.call("POST", "/v1/me/test-page", {})
        arrived = ask(f"/devices/{device}/notifications?after={seen}&wait=20")["notifications"]
        assert arrived and arrived[0]["payload"]["data"]["kind"] == "test", arrived
    [seen] = ask("/admin/tokens")["tokens"]
    token = ask("/admin/tokens/" + urllib.parse.quote(seen["digest"]))["token"]
    with open(key_file, "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None).public_key()
    checks = {"algorithms": ["ES256"], "issuer": team, "options": {"require": ["iss", "iat"]}}
    claims = jwt.decode(token, key, **checks)
    assert set(claims) == {"iss", "iat"} and isinstance(claims["iat"], int), claims
    assert abs(time.time() - claims["iat"]) < 120, "seconds, and made just now"
    assert jwt.get_unverified_header(token).items() >= {"alg": "ES256", "kid": key_id}.items()
    assert refuses(token, key, **checks)
    print(f"APNs: PyJWT verifies the one provider token of three pushes, key {key_id}, team {claims['iss']}")


if sys.argv[1] == "prepare":
    prepare(sys.argv[2])
else:
    phone, folder, *apple = Phone.load(sys.argv[1]), *sys.argv[2:]
    with open(f"{folder}/fcm.json", encoding="utf-8") as file:
        account = json.load(file)
    port = urllib.parse.urlsplit(account["token_uri"]).port
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web_push(phone, port)
    fcm(phone, account)
    apns(phone, *apple)
