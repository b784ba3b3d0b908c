"""python-escpos as another program at the same printer: it is told on a socket whom to ask, and says what it was told.

A line is `tcp <host> <port>`, `serial <path>`, `hold <host> <port>` (keeps a connection open) or `let-go`; the answer to the
first two is one line of JSON, to the others `{}`.
"""

import json
import socket
import sys

from escpos.printer import Network, Serial

TIMEOUT = 1
# On a serial port it always waits that long, for more bytes than there will be.
SERIAL_TIMEOUT = 0.2


def ask(printer):
    printer.open()
    try:
        return {"online": printer.is_online(), "paper": printer.paper_status()}
    except TimeoutError:
        return {"silent": True}
    finally:
        printer.close()


def main():
    held = None
    orders = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    with orders, orders.makefile("rw") as lines:
        for line in lines:
            match line.split():
                case ["tcp", host, port]:
                    answer = ask(Network(host, port=int(port), timeout=TIMEOUT))
                case ["serial", path]:
                    answer = ask(Serial(path, timeout=SERIAL_TIMEOUT))
                case ["hold", host, port]:
                    held = Network(host, port=int(port), timeout=TIMEOUT)
                    held.open()
                    answer = {"online": held.is_online()}
                case ["let-go"]:
                    held.close()
                    answer = {}
            print(json.dumps(answer), file=lines, flush=True)


main()
