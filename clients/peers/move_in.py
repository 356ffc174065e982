"""Makes the first administrator of an empty server, on a phone that is kept in a file, and a bot whose token is printed.

usage: move_in.py ISSUER CODE PHONE_FILE
"""

import sys

from phone import Phone

issuer, code, file = sys.argv[1:]
phone = Phone(issuer)
phone.enrol(code, {"handle": "yannick", "name": "Yannick Schutz"})
phone.save(file)
scopes = ["approvals:request", "grants:redeem", "incidents:write", "incidents:read", "events:read"]
print(phone.call("POST", "/v1/bots", {"name": "heimdall", "scopes": scopes})["token"])
