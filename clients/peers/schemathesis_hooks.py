"""Signs what schemathesis sends: as the bot whose token is in PEER_BOT, or as the phone in the file PEER_PHONE."""

import os

import schemathesis

from phone import Phone

BOT = os.environ.get("PEER_BOT")
PHONE = Phone.load(os.environ["PEER_PHONE"])


@schemathesis.auth()
class Credentials:
    def get(self, case, context):
        return BOT or PHONE.token()

    def set(self, case, data, context):
        if BOT:
            case.headers["Authorization"] = f"Bearer {data}"
        else:
            case.headers["Authorization"] = f"DPoP {data}"
            case.headers["DPoP"] = PHONE.proof(case.method.upper(), PHONE.issuer + case.formatted_path, data)
