"""The two calls of ChatOps RPC as PhoneOps has them: a line is posted, and what became of it is followed."""

import base64
import json
import os
import random
from datetime import datetime, timezone

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ANSWER_WITHIN = 30
SILENT_AT_MOST = 60
WAIT_AT_FIRST = 1
WAIT_AT_MOST = 60


class Refused(Exception):
    """What the server refused, and why."""


class Client:
    """PhoneOps at ``url``, which is its ``public_url``, by a private RSA key in PEM and the name that PhoneOps knows it by."""

    def __init__(self, url: str, pem: bytes, key_name: str):
        self.url = url.rstrip("/")
        self.key = load_pem_private_key(pem, password=None)
        if not isinstance(self.key, RSAPrivateKey):
            raise ValueError("the key must be an RSA key")
        self.key_name = key_name

    def headers(self, url: str, body: bytes) -> dict:
        """The headers of a signed call."""
        nonce = base64.b64encode(os.urandom(32)).decode()
        timestamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = b"\n".join([url.encode(), nonce.encode(), timestamp.encode(), body])
        signature = base64.b64encode(self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()
        return {
            "Chatops-Nonce": nonce,
            "Chatops-Timestamp": timestamp,
            "Chatops-Signature": f"Signature keyid={self.key_name},signature={signature}",
        }

    def say(self, user: str, room: str, line: str, message: str | None = None) -> dict:
        """Posts a line; the reply, of which ``result`` is what is said."""
        url = f"{self.url}/chatops/_chatops/line"
        said = {"user": user, "room_id": room, "method": "line", "params": {"line": line}}
        if message:
            said["message_id"] = message
        body = json.dumps(said).encode()
        headers = {**self.headers(url, body), "Content-Type": "application/json"}
        response = requests.post(url, data=body, headers=headers, timeout=ANSWER_WITHIN, allow_redirects=False)
        if response.status_code != 200:
            raise Refused(f"{response.status_code}: {_explained(response.text)}")
        return response.json()

    def follow(self, cursor, told, moved, trouble, stop):
        """Calls ``told(post)`` for what rooms have to be told and ``moved(cursor)`` behind it, until the event ``stop`` is set."""
        wait = WAIT_AT_FIRST
        while not stop.is_set():
            try:
                for number, posts in self._events(cursor, stop):
                    wait = WAIT_AT_FIRST
                    for post in posts:
                        try:
                            told(post)
                        except Exception as error:  # A room that is gone keeps nothing from the others.
                            trouble(RuntimeError(f"{post['room_id']} was not told: {error}"))
                    if number is not None:
                        cursor = number
                        moved(cursor)
            except Exception as error:  # Whatever it was, the way on is the same: say so, wait, come back with the cursor.
                trouble(error)
            # Not all at once when the server comes back.
            stop.wait(wait * (0.5 + random.random()))
            wait = min(wait * 2, WAIT_AT_MOST)

    def _events(self, cursor, stop):
        url = f"{self.url}/chatops/_events"
        headers = {**self.headers(url, b""), "Accept": "text/event-stream"}
        if cursor is not None:
            headers["Last-Event-ID"] = str(cursor)
        with requests.get(url, headers=headers, stream=True, timeout=SILENT_AT_MOST, allow_redirects=False) as response:
            if response.status_code != 200:
                raise Refused(f"{response.status_code}: {_explained(response.text)}")
            number, posts = None, []
            for line in response.iter_lines(chunk_size=1):
                if stop.is_set():
                    return
                text = line.decode()
                if text.startswith("id: "):
                    number = text[4:]
                elif text.startswith("data: "):
                    posts = json.loads(text[6:])["posts"]
                elif not text:
                    yield number, posts
                    number, posts = None, []


def _explained(text: str) -> str:
    try:
        return json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return text.strip()[:300]
