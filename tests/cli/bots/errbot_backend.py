"""Errbot's test backend as a program: each line of stdin is said to the bot, and each message of the bot is a string in JSON on stdout.

The arguments are the plugin's folder, and PhoneOps' address, key file and key name.
"""

import json
import logging
import os
import sys
import threading

from errbot.backends.test import TestBot

PATIENCE = 60


def tell(bot, said):
    while True:
        print(json.dumps(bot.pop_message(timeout=None)), file=said, flush=True)


def main():
    plugin, url, key_file, key_name = sys.argv[1:]
    # Errbot lets pip see to what the plugin requires, which writes to stdout.
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # Whoever speaks is the first of the administrators.
    config = {"SUPPRESS_CMD_NOT_FOUND": True, "BOT_ADMINS": ("yannick",)}
    bot = TestBot(extra_plugin_dir=plugin, loglevel=logging.WARNING, extra_config=config)
    bot.start(timeout=PATIENCE)
    plugins = bot.bot.plugin_manager
    settings = {"url": url, "key_file": key_file, "key_name": key_name, "whisper": True}
    plugins.set_plugin_configuration("PhoneOps", settings)
    plugins.deactivate_plugin("PhoneOps")
    plugins.activate_plugin("PhoneOps")
    threading.Thread(target=tell, args=(bot, said), daemon=True).start()
    for line in sys.stdin:
        bot.push_message(line.rstrip("\n"))


if __name__ == "__main__":
    main()
