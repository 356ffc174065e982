"""A phone: a device key, access tokens, DPoP proofs. Written from api-spec/device-protocol.md alone."""

import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def tagged(tag: str, data: bytes) -> str:
    return b64u(hashlib.sha256(tag.encode() + b"\0" + data).digest())


def read(request: urllib.request.Request):
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            body = reply.read()
    except urllib.error.HTTPError as refused:
        raise SystemExit(f"{request.method} {request.full_url}: {refused.code} {refused.read().decode()}") from None
    return json.loads(body) if body else None


class Phone:
    def __init__(self, issuer: str, key=None, device: str | None = None):
        self.issuer = issuer
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.device = device
        numbers = self.key.public_key().public_numbers()
        x, y = (b64u(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        self.jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        self.access_token, self.until = "", 0.0

    def jws(self, header: dict, claims: dict) -> str:
        signed = b64u(json.dumps(header).encode()) + "." + b64u(json.dumps(claims).encode())
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return signed + "." + b64u(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    def enrol(self, code: str, first_administrator: dict | None = None) -> dict:
        """Section 2."""
        code = code.replace("-", "")
        device = {"name": "A peer", "platform": "cli"}
        canonical = json.dumps(device, separators=(",", ":"), sort_keys=True).encode()
        claims = {
            "aud": self.issuer,
            "code_sha256": tagged("phoneops.enrollment.v1", code.encode()),
            "device_sha256": tagged("phoneops.device.v1", canonical),
            "iat": int(time.time()),
        }
        proof = self.jws({"alg": "ES256", "typ": "phoneops-enrollment+jwt"}, claims)
        body = {"code": code, "device": device, "device_key": self.jwk, "proof": proof}
        if first_administrator:
            body["user"] = first_administrator
        headers = {"Content-Type": "application/json"}
        url = self.issuer + "/v1/enrollments/claim"
        claimed = read(urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST"))
        self.device = claimed["device"]["id"]
        return claimed

    def proof(self, method: str, url: str, token: str | None = None) -> str:
        """Section 3: a DPoP proof (RFC 9449)."""
        claims = {"jti": b64u(os.urandom(16)), "htm": method, "htu": url, "iat": int(time.time())}
        if token:
            claims["ath"] = b64u(hashlib.sha256(token.encode()).digest())
        return self.jws({"alg": "ES256", "typ": "dpop+jwt", "jwk": self.jwk}, claims)

    def token(self) -> str:
        """Section 3: an access token, renewed when it is about to end."""
        if time.time() < self.until:
            return self.access_token
        now, url = int(time.time()), self.issuer + "/v1/token"
        claims = {"iss": self.device, "sub": self.device, "aud": url, "iat": now, "exp": now + 60, "jti": b64u(os.urandom(16))}
        assertion = self.jws({"alg": "ES256", "typ": "phoneops-assertion+jwt", "kid": self.device}, claims)
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "DPoP": self.proof("POST", url)}
        reply = read(urllib.request.Request(url, urllib.parse.urlencode(form).encode(), headers, method="POST"))
        self.access_token, self.until = reply["access_token"], time.time() + reply["expires_in"] - 60
        return self.access_token

    def call(self, method: str, path: str, body=None):
        token, url = self.token(), self.issuer + path
        headers = {"Authorization": f"DPoP {token}", "DPoP": self.proof(method, url, token), "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        return read(urllib.request.Request(url, data, headers, method=method))

    def save(self, path: str) -> None:
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        pem = self.key.private_bytes(encoding, form, serialization.NoEncryption()).decode()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"issuer": self.issuer, "pem": pem, "device": self.device}, file)

    @classmethod
    def load(cls, path: str) -> "Phone":
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        return cls(saved["issuer"], serialization.load_pem_private_key(saved["pem"].encode(), None), saved["device"])
