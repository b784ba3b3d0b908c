"""Sends known values over StatsD with the clients of others, and writes down as JSON what should be there.

usage: statsd_send.py <port> <rounds>
"""

import json
import random
import sys
import time

import statsd
from datadog.dogstatsd import DogStatsd

port, rounds = int(sys.argv[1]), int(sys.argv[2])
plain = statsd.StatsClient("127.0.0.1", port, prefix="pos.t1")
dog = DogStatsd(host="127.0.0.1", port=port, disable_telemetry=True, disable_buffering=True)
packed = DogStatsd(
    host="127.0.0.1", port=port, disable_telemetry=True, disable_buffering=True, max_metric_samples_per_context=1_000_000,
    disable_aggregation=False, flush_interval=0.2,
)
expected = {}
random.random = lambda: 0.0  # A client that samples sends every line, and says that it is one of so many.


def add(series, value):
    expected[series] = expected.get(series, 0.0) + value


def observe(series, labels, value):
    add(f"{series}_count{labels}", 1)
    add(f"{series}_sum{labels}", value)


for n in range(rounds):
    plain.incr("tx.completed")
    add("pos.t1.tx.completed", 1)
    plain.incr("items", n)
    add("pos.t1.items", n)
    plain.timing("tender", 100 + n)
    observe("pos.t1.tender", "", 100 + n)
    plain.gauge("queue", n)
    plain.gauge("queue", 3, delta=True)
    plain.gauge("queue", -1, delta=True)
    plain.incr("sampled", rate=0.1)
    add("pos.t1.sampled", 10)
    with plain.pipeline() as pipe:  # Several lines in one datagram.
        pipe.incr("voids")
        pipe.timing("scan", n + 0.5)
        pipe.gauge("depth", n)
    add("pos.t1.voids", 1)
    observe("pos.t1.scan", "", n + 0.5)
    lane = f"lane-{n % 3}"
    dog.increment("dog.tx", tags=[f"lane:{lane}", "cashier:anna", "urgent"])
    add(f'dog.tx{{lane="{lane}"}}', 1)
    dog.histogram("dog.basket", 10.25 * n, tags=[f"lane:{lane}", "tender:cash"])
    observe("dog.basket", f'{{lane="{lane}",tender="cash"}}', 10.25 * n)
    dog.distribution("dog.weight", n / 8)
    observe("dog.weight", "", n / 8)
    dog.gauge("dog.temp", n / 4, tags=["lane:lane-0"])
    # Added up by the client itself.
    packed.increment("packed.tx", 2)
    add("packed.tx", 2)
    packed.distribution("packed.ms", n)
    observe("packed.ms", "", n)
    time.sleep(0.002)
expected["pos.t1.queue"] = rounds - 1 + 2
expected["pos.t1.depth"] = rounds - 1
expected['dog.temp{lane="lane-0"}'] = (rounds - 1) / 4
# What a broken program sends, and what must not become a label.
plain._send("garbage")
plain._send("pos.t1.card.4111111111111111:1|c")
dog.increment("dog.tx", tags=["lane:4111-1111-1111-1111"])
plain._send("dog.tx:1|c|#lane:free text")  # The client of DogStatsD would put a '_' there.
dog.event("title", "text that nobody keeps 4111111111111111")
dog.service_check("pos", 0, message="text")
packed.flush()
packed.stop()
# The size of a set is that of one flush, so all of it is sent at once.
with plain.pipeline() as pipe:
    for n in range(20):
        pipe.set("cashiers", f"anna{n % 7}")
expected["pos.t1.cashiers"] = 7
print(json.dumps(expected))
