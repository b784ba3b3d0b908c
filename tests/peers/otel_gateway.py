"""Metrics made by the OpenTelemetry SDK and exported to the gateway in the shop.

Environment: STOREPULSE_ROUNDS, STOREPULSE_LOG, STOREPULSE_PREFIX, and the variables that the SDK's own exporter reads
(OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, ..._HEADERS, ..._TEMPORALITY_PREFERENCE, ..._COMPRESSION).
In the end the log says how many exports ended well, and what each series should show: what was counted here, not what was sent.
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
PREFIX = os.environ["STOREPULSE_PREFIX"]
BOUNDS = [0.005, 0.1, 1, 2.5]


class Recorded(OTLPMetricExporter):
    """Counts how exports ended."""

    accepted = 0

    def export(self, metrics_data, *args, **kwargs):
        result = super().export(metrics_data, *args, **kwargs)
        Recorded.accepted += result is MetricExportResult.SUCCESS
        return result


def main():
    rounds_done = 0

    def observe(_options):
        yield Observation(rounds_done / 7, {"shelf": "dairy", "customer": "Ana Díaz"})
        yield Observation(math.nan, {"shelf": "odd"})
        yield Observation(1, {"shelf": "Ana Díaz"})
        yield Observation(1, {"shelf": "4111111111111111"})

    exporter = Recorded()
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
    spread_view = View(instrument_name=PREFIX + ".spread", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider(
        metric_readers=[reader], resource=Resource.create({"service.name": "till"}), views=[spread_view]
    )
    meter = provider.get_meter("storepulse.peer", "1.0")
    meter.create_observable_gauge(PREFIX + ".temperature", callbacks=[observe], unit="Cel")
    receipts = meter.create_counter(PREFIX + ".receipts")
    queue = meter.create_up_down_counter(PREFIX + "/queue-length")
    duration = meter.create_histogram(PREFIX + ".duration", unit="s", explicit_bucket_boundaries_advisory=BOUNDS)
    spread = meter.create_histogram(PREFIX + ".spread")
    counted, queued, durations = 0, 0, []
    for _ in range(ROUNDS):
        rounds_done += 1
        receipts.add(rounds_done, {"till": "1"})
        counted += rounds_done
        change = (-1) ** rounds_done * rounds_done
        queue.add(change)
        queued += change
        # Eighths, whose sums are exact in any order.
        duration.record(rounds_done / 8, {"kind": "card"})
        durations.append(rounds_done / 8)
        spread.record(rounds_done)
        reader.force_flush()
        time.sleep(0.1)
    exporter.shutdown()
    series = {
        PREFIX + '.temperature{shelf="dairy"}': rounds_done / 7,
        PREFIX + '.receipts{till="1"}': counted,
        PREFIX + "/queue-length": queued,
        PREFIX + '.duration_sum{kind="card"}': sum(durations),
        PREFIX + '.duration_count{kind="card"}': len(durations),
        PREFIX + '.duration_bucket{kind="card",le="+Inf"}': len(durations),
    }
    for bound in BOUNDS:
        series[f'{PREFIX}.duration_bucket{{kind="card",le="{bound}"}}'] = sum(d <= bound for d in durations)
    with open(os.environ["STOREPULSE_LOG"], "w", encoding="utf-8") as log:
        json.dump({"accepted": Recorded.accepted, "series": series}, log)


main()
os._exit(0)
