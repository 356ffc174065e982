"""Fetches a calendar of shifts and has the icalendar library of PyPI read it: whole, with texts that need escaping and folding.

usage: calendar_feed.py PHONE_FILE
"""

import sys
import urllib.request
from datetime import UTC, datetime, timedelta

from icalendar import Calendar
from phone import Phone

NAME = "first; second, third \\ " + "ü" * 50

phone = Phone.load(sys.argv[1])
phone.call("POST", "/v1/users", {"handle": "ics", "name": "Ics, Example; \\o/"})
first = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%dT09:00")
layer = {"name": NAME, "people": ["@ics"], "shift": "1 day", "first": first, "hours": ["mon-sun 09:00-17:00"]}
phone.call("POST", "/v1/schedules", {"name": "ics-days", "zone": "Europe/Paris", "layers": [layer]})
url = phone.call("POST", "/v1/calendar-feeds", {"schedule": "ics-days"})["url"]
with urllib.request.urlopen(url) as reply:
    kind, body = reply.headers["content-type"], reply.read()
calendar = Calendar.from_ical(body)
events = calendar.walk("VEVENT")
spans = [(event.decoded("DTSTART"), event.decoded("DTEND")) for event in events]
faults = [error for event in events for error in event.errors]
checks = {
    "media type": kind == "text/calendar; charset=utf-8",
    "version": calendar["VERSION"] == "2.0",
    "many": len(events) > 100,
    "no faults": not faults,
    "names differ": len({str(event["UID"]) for event in events}) == len(events),
    "eight hours in UTC": all(until - since == timedelta(hours=8) and since.utcoffset() == timedelta(0) for since, until in spans),
    "person": all(str(event["SUMMARY"]) == "On call for ics-days: Ics, Example; \\o/" for event in events),
    "layer": all(str(event["DESCRIPTION"]) == NAME for event in events),
    "lines": all(len(line) <= 75 for line in body.split(b"\r\n")),
}
wrong = [check for check, holds in checks.items() if not holds]
print(f"{len(events)} shifts, wrong: {wrong or 'nothing'}")
sys.exit(1 if wrong else 0)
