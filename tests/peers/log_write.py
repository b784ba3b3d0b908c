"""Writes numbered lines into a log with Python's logging, as log4j would lay them out, and prints as JSON what they add up to.

usage: log_write.py <path> <first> <last> <pause in s> rotating|watched|plain
"""

import json
import logging
import logging.handlers
import sys
import time

path, first, last, pause, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
handler = {
    "rotating": lambda: logging.handlers.RotatingFileHandler(path, maxBytes=12_000, backupCount=200),
    "watched": lambda: logging.handlers.WatchedFileHandler(path),
    "plain": lambda: logging.FileHandler(path),
}[how]()
handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-5s [%(threadName)s] %(name)s - %(message)s"))
log = logging.getLogger("pos.Sale")
log.addHandler(handler)
log.setLevel(logging.DEBUG)

# Published test numbers, spelled as people do.
CARDS = ["4111111111111111", "5555555555554444", "378282246310005", "30569309025904", "6011111111111117"]
SPELLINGS = [
    lambda card: card,
    lambda card: " ".join(card[at : at + 4] for at in range(0, len(card), 4)),
    lambda card: "-".join(card[at : at + 4] for at in range(0, len(card), 4)),
    lambda card: " ".join([card[:4], card[4:10], card[10:]]),
]
told = {"sales": 0, "sum": 0, "errors": 0, "warnings": 0, "cards": 0}
for no in range(first, last + 1):
    log.info("SALE no=%d ms=%d", no, no % 700)
    told["sales"] += 1
    told["sum"] += no % 700
    if no % 10 == 0:
        try:
            raise RuntimeError("terminal does not answer")
        except RuntimeError:
            log.exception("tender failed")  # With the lines of a stack trace.
        told["errors"] += 1
    if no % 15 == 0:
        log.warning("slow")
        told["warnings"] += 1
    if no % 20 == 0:
        card, spell = CARDS[no // 20 % len(CARDS)], SPELLINGS[no // 20 % len(SPELLINGS)]
        log.debug("card %s", spell(card))
        told["cards"] += 1
    if pause:
        time.sleep(pause)
print(json.dumps(told))
