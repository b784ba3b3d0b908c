"""A till that sells into an SQLite file in WAL mode: N tickets, one commit each, and its own account of them.

till.py FILE N ACCOUNT: ACCOUNT is written when all are sold; the file stays open until we are ended.
"""

import json
import os
import sqlite3
import sys
import time

file, tickets, account = sys.argv[1], int(sys.argv[2]), sys.argv[3]
db = sqlite3.connect(file, timeout=0.2, isolation_level=None)
db.execute("pragma journal_mode = wal")
db.execute("create table tickets (no integer primary key, lane text, total numeric, sold_at text default current_timestamp)")
cents = 0
for no in range(tickets):
    cents += 199 + no
    # A reader that is in our way would be an error here.
    db.execute("insert into tickets (lane, total) values (?, ?)", (str(no % 3 + 1), (199 + no) / 100))
    time.sleep(0.002)
with open(account + ".new", "w") as out:
    json.dump({"tickets": tickets, "cents": cents, "sqlite": sqlite3.sqlite_version}, out)
os.rename(account + ".new", account)
while True:
    time.sleep(60)
