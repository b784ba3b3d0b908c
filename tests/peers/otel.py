"""Metrics made by the OpenTelemetry SDK and exported over OTLP/HTTP, as any program of a shop would.

Environment: STOREPULSE_ROUNDS, STOREPULSE_LOG, and the variables that the SDK's own exporter reads
(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, ..._HEADERS, ..._CERTIFICATE, ..._COMPRESSION).
Every export goes into the log before it is sent, one line of the SDK's own JSON each, with what the exporter said of it.
"""

import json
import math
import os
import time

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

ROUNDS = int(os.environ["STOREPULSE_ROUNDS"])
LOG = open(os.environ["STOREPULSE_LOG"], "w", encoding="utf-8")


class Recorded(OTLPMetricExporter):
    """Writes down what is sent, and how it ended."""

    def export(self, metrics_data, *args, **kwargs):
        result = super().export(metrics_data, *args, **kwargs)
        accepted = result is MetricExportResult.SUCCESS
        LOG.write(json.dumps({"accepted": accepted, "sent": json.loads(metrics_data.to_json())}) + "\n")
        LOG.flush()
        return result


def main():
    rounds_done = 0

    def observe(_options):
        yield Observation(rounds_done / 7, {"shelf": "dairy"})
        yield Observation(-1e-300 * rounds_done, {"shelf": 'a "b" \\ ñ\n2', "empty": ""})
        yield Observation(math.inf if rounds_done % 2 else 4.5, {"shelf": "odd"})
        yield Observation(rounds_done, {"door": 3, "open": True, "weight": 0.25})
        yield Observation(1, {"list": ["a", "b"]})

    exporter = Recorded()
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
    resource = Resource.create(
        {"service.name": "till", "service.instance.id": "till/7", "service.namespace": "la villa", "color": "blue"}
    )
    exponential = View(instrument_name="pos.spread", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider(metric_readers=[reader], resource=resource, views=[exponential])
    meter = provider.get_meter("storepulse.peer", "1.0")
    meter.create_observable_gauge("hw.temperature", callbacks=[observe], unit="Cel")
    receipts = meter.create_counter("pos.receipts")
    queue = meter.create_up_down_counter("pos/queue-length")
    duration = meter.create_histogram("pos.duration", unit="s", explicit_bucket_boundaries_advisory=[0.005, 0.1, 1, 2.5])
    spread = meter.create_histogram("pos.spread")
    for _ in range(ROUNDS):
        rounds_done += 1
        receipts.add(rounds_done, {"till": "1"})
        receipts.add(2**40, {"till": "2"})
        queue.add((-1) ** rounds_done * rounds_done)
        duration.record(0.004 * rounds_done, {"kind": "card"})
        duration.record(rounds_done, {"kind": "cash"})
        spread.record(rounds_done)
        # Whether an export ended well stands in the log; the flush must not end the program.
        reader.force_flush()
        time.sleep(0.2)
    # Without a last collection at the shutdown: what is sent is what was flushed.
    exporter.shutdown()


main()
os._exit(0)
