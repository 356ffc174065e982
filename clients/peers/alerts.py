"""Has the real Alertmanager and the clients that PyPI and npm have for Events v2 report alerts, and looks at what became of them.

usage: alerts.py PHONE_FILE ALERTMANAGER FOLDER_WITH_NPM_MODULES
"""

import datetime
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import pdpyras
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from phone import Phone

NPM = """
const { trigger, acknowledge, resolve, change } = require("@pagerduty/pdjs");
const [server, routing_key] = process.argv.slice(1);
const say = async (verb, data) => {
  const { response, data: body } = await verb({ server, data: { routing_key, dedup_key: "npm", ...data } });
  if (response.status !== 202) throw new Error(`${response.status} ${JSON.stringify(body)}`);
  return body;
};
const payload = { summary: "Reported by npm", source: "npm", severity: "error" };
const verbs = { trigger, acknowledge, resolve };
(async () => {
  const [verb] = process.argv.slice(3);
  const body = verb === "change" ? await say(change, { payload }) : await say(verbs[verb], verb === "trigger" ? { payload } : {});
  if (verb !== "change" && body.dedup_key !== "npm") throw new Error(JSON.stringify(body));
})().catch((error) => { console.error(error); process.exit(1); });
"""

phone_file, alertmanager, modules = sys.argv[1:]
phone = Phone.load(phone_file)
port = int(phone.issuer.rsplit(":", 1)[1])


def incidents() -> dict:
    listed = phone.call("GET", "/v1/incidents?all=true&limit=100")["incidents"]
    return {incident["title"]: incident for incident in listed}


def expect(title: str, state: str, reports: int | None = None) -> dict:
    """Waits until there is an incident with this title in this state."""
    for _ in range(200):
        found = incidents().get(title)
        if found and found["state"] == state and reports in (None, found["reports"]):
            return found
        time.sleep(0.1)
    sys.exit(f"alerts: expected {title!r} to be {state}: {json.dumps(incidents(), indent=1)}")


def integration(name: str, kind: str) -> dict:
    return phone.call("POST", "/v1/services/peers/integrations", {"name": name, "kind": kind})


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def from_pypi() -> None:
    session = pdpyras.EventsAPISession(integration("pypi", "events")["key"])
    session.url = phone.issuer
    key = session.trigger("Reported by PyPI", "pypi", severity="critical", custom_details={"env": "prod"})
    expect("Reported by PyPI", "triggered")
    session.acknowledge(key)
    expect("Reported by PyPI", "acknowledged")
    session.resolve(key)
    expect("Reported by PyPI", "resolved")
    wrong = pdpyras.EventsAPISession("0" * 32)
    wrong.url = phone.issuer
    try:
        wrong.trigger("nobody's", "pypi")
    except pdpyras.PDClientError as error:
        assert error.response.json()["errors"] == ["Invalid routing key"], error.response.text
    else:
        sys.exit("alerts: a key that nobody has was taken")


def tls_front(scratch: pathlib.Path) -> int:
    """The npm client speaks nothing but HTTPS: a door with a certificate of its own, in front of the server."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )
    (scratch / "front.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (scratch / "front.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(scratch / "front.crt", scratch / "front.key")
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, sink) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve() -> None:
        while True:
            outside, _ = listener.accept()
            outside = context.wrap_socket(outside, server_side=True)
            inside = socket.create_connection(("127.0.0.1", port))
            for pair in ((outside, inside), (inside, outside)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def from_npm(scratch: pathlib.Path) -> None:
    key = integration("npm", "events")["key"]
    front = tls_front(scratch)
    environment = dict(os.environ, NODE_PATH=f"{modules}/node_modules", NODE_EXTRA_CA_CERTS=str(scratch / "front.crt"))

    def say(verb: str) -> None:
        subprocess.run(["node", "-e", NPM, f"localhost:{front}", key, verb], env=environment, check=True, timeout=60)

    say("change")
    for verb, state in (("trigger", "triggered"), ("acknowledge", "acknowledged"), ("resolve", "resolved")):
        say(verb)
        expect("Reported by npm", state)


def from_alertmanager(scratch: pathlib.Path) -> None:
    events, webhook = integration("alertmanager-events", "events"), integration("alertmanager-webhook", "alertmanager")
    (scratch / "alertmanager.yml").write_text(json.dumps({
        "route": {"receiver": "both", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"},
        "receivers": [{
            "name": "both",
            "pagerduty_configs": [{
                "url": f"{phone.issuer}/v2/enqueue", "routing_key": events["key"], "send_resolved": True,
                "severity": "{{ .CommonLabels.severity }}", "description": "{{ .CommonLabels.alertname }} by events",
            }],
            "webhook_configs": [{"url": f"{phone.issuer}/ingest/{webhook['key']}/alertmanager", "send_resolved": True}],
        }],
    }))
    listen = f"127.0.0.1:{free_port()}"
    running = subprocess.Popen(
        [alertmanager, f"--config.file={scratch}/alertmanager.yml", f"--storage.path={scratch}/alertmanager",
         f"--web.listen-address={listen}", "--cluster.listen-address="],
        stdout=subprocess.DEVNULL, stderr=(scratch / "alertmanager.log").open("w"),
    )

    def say(hosts: list[str], over: bool = False) -> None:
        now = datetime.datetime.now(datetime.timezone.utc)
        alerts = [
            {
                "labels": {"alertname": "DiskFull", "severity": "warning", "instance": host},
                "annotations": {"summary": f"The disk of {host} is full"},
                "startsAt": (now - datetime.timedelta(minutes=5)).isoformat(),
                **({"endsAt": now.isoformat()} if over else {}),
            }
            for host in hosts
        ]
        request = urllib.request.Request(f"http://{listen}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"})
        for _ in range(100):
            try:
                return urllib.request.urlopen(request, timeout=10).close()
            except OSError:
                time.sleep(0.1)
        sys.exit((scratch / "alertmanager.log").read_text())

    try:
        say(["db1"])
        expect("DiskFull by events", "triggered", 1)
        first = expect("The disk of db1 is full", "triggered", 1)
        assert first["urgency"] == "low", first
        # The group grows: each is told, and is the incident it was.
        say(["db1", "db2"])
        expect("DiskFull by events", "triggered", 2)
        grown = expect("DiskFull (2 alerts)", "triggered", 2)
        assert grown["ref"] == first["ref"] and "db2" in grown["details"], grown
        say(["db1", "db2"], over=True)
        expect("DiskFull by events", "resolved")
        assert expect("DiskFull (2 alerts)", "resolved")["ref"] == first["ref"]
    finally:
        running.terminate()
        running.wait()


me = phone.call("GET", "/v1/me")
phone.call("POST", "/v1/teams", {"name": "peers"})
phone.call("PUT", f"/v1/teams/peers/members/@{me.get('user', me)['handle']}", {})
phone.call("POST", "/v1/services", {"name": "peers", "team": "peers"})
with tempfile.TemporaryDirectory() as directory:
    from_pypi()
    from_npm(pathlib.Path(directory))
    from_alertmanager(pathlib.Path(directory))
print("Alertmanager, pdpyras and pdjs: their alerts were taken, and are over")
