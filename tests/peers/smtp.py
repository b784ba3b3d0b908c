"""A mail server that takes mail and tells what came, as any program of a shop's mail would see it.

    smtp.py --port-file FILE [--reject ADDRESS]... [--defer-first N]

Listens on a free port of 127.0.0.1, which FILE holds as soon as it can be used. For each mail that it took it prints one line:

    {"from", "to": [...], "subject", "text", "html", "headers": {name: value}, "raw_has_bcc"}

"subject", "text" and "html" are decoded; "headers" are as they came, unfolded. "raw_has_bcc" says whether any line before the body
begins with "Bcc:", which no mail of ours has. --reject answers 550 to a recipient, --defer-first 451 to the first N mails. It
ends when its input does, or with SIGTERM.
"""

import argparse
import asyncio
import email
import email.policy
import json
import os
import re
import signal
import stat
import sys

from aiosmtpd.smtp import SMTP


class Box:
    """What the server does with what comes."""

    def __init__(self, rejected, deferred):
        self.rejected = {address.lower() for address in rejected}
        self.deferred = deferred

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address.lower() in self.rejected:
            return "550 5.1.1 there is nobody of this name"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server, _session, envelope):
        if self.deferred > 0:
            self.deferred -= 1
            return "451 4.3.0 come back later"
        print(json.dumps(told(envelope), ensure_ascii=False), flush=True)
        return "250 2.0.0 taken"


def told(envelope):
    mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
    raw = email.message_from_bytes(envelope.original_content, policy=email.policy.compat32)
    head = re.split(rb"\r?\n\r?\n", envelope.original_content, maxsplit=1)[0]
    return {
        "from": envelope.mail_from,
        "to": envelope.rcpt_tos,
        "subject": str(mail["subject"]),
        "text": body(mail, "plain"),
        "html": body(mail, "html"),
        "headers": {name: re.sub(r"\r?\n[ \t]", " ", str(value)) for name, value in raw.items()},
        "raw_has_bcc": re.search(rb"(?im)^bcc[ \t]*:", head) is not None,
    }


def body(mail, kind):
    part = mail.get_body(preferencelist=(kind,))
    return None if part is None else part.get_content().replace("\r\n", "\n")


async def serve(options):
    box = Box(options.reject, options.defer_first)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    # An input that is no pipe says nothing of who has started us.
    if stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        await loop.connect_read_pipe(lambda: Ended(ended), sys.stdin)
    server = await loop.create_server(lambda: SMTP(box, hostname="peer.example", loop=loop), "127.0.0.1", 0)
    partial = f"{options.port_file}.partial"
    with open(partial, "w", encoding="ascii") as file:
        file.write(f"{server.sockets[0].getsockname()[1]}\n")
    os.replace(partial, options.port_file)
    await ended.wait()
    server.close()


class Ended(asyncio.Protocol):
    """Notices the end of an input, whatever else came with it."""

    def __init__(self, ended):
        self.ended = ended

    def connection_lost(self, _error):
        self.ended.set()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--reject", action="append", default=[], metavar="ADDRESS")
    parser.add_argument("--defer-first", type=int, default=0, metavar="N")
    # Lines are UTF-8, whatever the locale.
    sys.stdout.reconfigure(encoding="utf-8")
    asyncio.run(serve(parser.parse_args()))


main()
