"""Receives an event and has the standardwebhooks libraries of PyPI and of npm verify it, whole and changed.

usage: webhook.py PHONE_FILE FOLDER_WITH_NPM_MODULES
"""

import http.server
import json
import queue
import subprocess
import sys
import threading

from phone import Phone
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

VERIFY = """
const { Webhook } = require("standardwebhooks");
const { secret, headers, bodies } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const verdicts = bodies.map((body) => { try { new Webhook(secret).verify(body, headers); return true; } catch { return false; } });
console.log(JSON.stringify(verdicts));
"""

received: queue.Queue = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        received.put(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format, *args):
        pass


def verified(secret: str, headers: dict, body: str) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


phone, modules = Phone.load(sys.argv[1]), sys.argv[2]
server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
hook = phone.call("POST", "/v1/webhooks", {"url": f"http://127.0.0.1:{server.server_port}/hook", "kinds": ["user."]})
phone.call("POST", "/v1/users", {"handle": "zoe", "name": "Zoë Example"})
headers, body = received.get(timeout=20)
assert json.loads(body)["kind"] == "user.created", body
bodies = [body, body + " ", body.replace("zoe", "eve")]
by_pypi = [verified(hook["secret"], headers, body) for body in bodies]
asked = json.dumps({"secret": hook["secret"], "headers": headers, "bodies": bodies})
ran = subprocess.run(["node", "-e", VERIFY], cwd=modules, input=asked, capture_output=True, text=True, check=True)
by_npm = json.loads(ran.stdout)
print(f"whole, one byte more, another name: PyPI {by_pypi}, npm {by_npm}")
sys.exit(0 if by_pypi == by_npm == [True, False, False] else 1)
