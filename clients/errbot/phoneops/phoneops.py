"""Pages, incidents and approvals on the phone, by PhoneOps. This plugin knows no command: it signs, forwards and prints."""

from pathlib import Path
from threading import Event, Thread

from errbot import BotPlugin, cmdfilter
from errbot.rendering import md_escape

from phoneops_client import Client, Refused

DOWN = "PhoneOps does not answer. Page and acknowledge on your phone, or with `phoneops page` and `phoneops ack`."
NOT_WHISPERED = "There is more that is for you alone, and I cannot whisper here: say it to me in a direct message."

# How long the first line waits for the stream, in seconds, so that what becomes of it is heard.
STREAM_WITHIN = 2


class PhoneOps(BotPlugin):
    """Pages, incidents and approvals on the phone: `commands` lists what can be said."""

    def get_configuration_template(self):
        return {"url": "https://phoneops.example", "key_file": "/etc/errbot/phoneops.pem", "key_name": "errbot", "whisper": True}

    def activate(self):
        super().activate()
        self._client = None
        if not self.config:
            self.log.warning("PhoneOps is not configured: say !plugin config PhoneOps")
            return
        self._client = Client(self.config["url"], Path(self.config["key_file"]).read_bytes(), self.config["key_name"])
        self._stop = Event()
        self._heard = Event()
        self._following = Thread(target=self._follow, name="phoneops", daemon=True)
        self._following.start()

    def deactivate(self):
        if self._client:
            self._stop.set()
        super().deactivate()

    @cmdfilter(catch_unprocessed=True)
    def forward(self, msg, cmd, args, dry_run, emptycmd=False):
        """What no plugin understood."""
        if not emptycmd:
            return msg, cmd, args
        line = self._line(msg.body)
        if not line or not self._client:
            return None
        room = str(msg.frm.person) if msg.is_direct else str(msg.to)
        message = msg.extras.get("id") if isinstance(msg.extras, dict) else None
        self._heard.wait(STREAM_WITHIN)
        self._heard.set()
        try:
            reply = self._client.say(str(msg.frm.aclattr), room, line, str(message) if message else None)
        except Refused as error:
            self.log.error("refused: %s", error)
            return _plain(f"PhoneOps refused: {error}")
        except Exception:
            self.log.exception("PhoneOps does not answer")
            return DOWN
        text = self._shown(reply)
        if not reply.get("whisper") or self._whispered(msg, reply["whisper"]):
            return text
        more = reply["whisper"] if msg.is_direct else NOT_WHISPERED
        return f"{text}\n{_plain(more)}"

    def _whispered(self, msg, text: str) -> bool:
        """Whether somebody was told something alone."""
        if not self.config.get("whisper"):
            return False
        try:
            self.send(self.build_identifier(str(msg.frm.person)), _plain(text))
            return True
        except Exception:
            self.log.exception("it could not be whispered")
            return False

    def _shown(self, reply: dict) -> str:
        """What is said of a reply: its text, and below it what each of its buttons would say."""
        prefix = self.bot_config.BOT_PREFIX
        buttons = [f"{button['label']}: {prefix}{button['command']}" for button in reply.get("buttons", [])]
        return _plain("\n".join([reply["result"], *([" | ".join(buttons)] if buttons else [])]))

    def _line(self, body: str) -> str:
        """The words behind the bot's prefix or name."""
        text = body.strip()
        prefixes = sorted((self.bot_config.BOT_PREFIX, *self.bot_config.BOT_ALT_PREFIXES), key=len, reverse=True)
        for prefix in prefixes:
            if prefix and text.lower().startswith(prefix.lower()):
                return text[len(prefix) :].lstrip(" ,:")
        return text

    def _follow(self):
        self._client.follow(
            cursor=self.get("cursor"),
            told=lambda post: self.send(self.build_identifier(post["room_id"]), self._shown(post)),
            moved=self._moved,
            trouble=self._trouble,
            stop=self._stop,
        )

    def _moved(self, cursor: str):
        self["cursor"] = cursor
        self._heard.set()

    def _trouble(self, error: Exception):
        self.log.warning("not following: %s", error)
        self._heard.set()


def _plain(text: str) -> str:
    """The text as Errbot has to be given it: what it says is Markdown, and what PhoneOps says is not."""
    return md_escape(text.replace("&", "&amp;").replace("<", "&lt;"))
