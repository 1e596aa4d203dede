"""Every metric emberline has, in one typed table: its name, what kind it is, its labels and what it means.

The README's table of metrics is made from here, so a metric that is not in the table does not exist.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
"""Up to the 20 s that are mandated (A6), finest around the 0.1 s that are our own aim."""


class Metric(NamedTuple):
    """One row of the table."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    what: str


METRICS: Final = (
    Metric("emberline_records_total", "counter", ("topic",), "records fetched and processed"),
    Metric("emberline_reports_total", "counter", (), "good reports processed"),
    Metric("emberline_rejects_total", "counter", ("reason",), "records or reports rejected"),
    Metric("emberline_gateway_reports_total", "counter", ("gateway",), "good reports by who sent them"),
    Metric("emberline_gateway_rejects_total", "counter", ("gateway",), "records or reports rejected by who sent them"),
    Metric(
        "emberline_gateway_misplaced_total", "counter", ("gateway",), "reports that are not in their key's partition"
    ),
    Metric("emberline_reject_share", "gauge", (), "share of the last 2000 reports that were bad"),
    Metric("emberline_repeated_reports_total", "counter", (), "reports that came before, counted once"),
    Metric("emberline_late_reports_total", "counter", (), "reports older than their device's newest"),
    Metric("emberline_flooded_reports_total", "counter", (), "reports of devices that flood, stored but not judged"),
    Metric("emberline_skipped_reports_total", "counter", (), "reports that restored state reflects already"),
    Metric("emberline_by_arrival_reports_total", "counter", (), "reports judged by their arrival, not their clock"),
    Metric("emberline_absent_values_total", "counter", (), "values that are none for want of a good sensor"),
    Metric("emberline_alarms_total", "counter", ("kind", "event", "severity"), "alarm events sent"),
    Metric("emberline_device_requests_total", "counter", ("kind",), "requests to devices sent"),
    Metric("emberline_charging_sessions_total", "counter", ("ended_as",), "charges at charging piles sent"),
    Metric("emberline_aggregates_total", "counter", (), "device minutes sent"),
    Metric("emberline_status_changes_total", "counter", ("status",), "device status events sent"),
    Metric(
        "emberline_control_outcomes_total",
        "counter",
        ("kind", "outcome"),
        "control records of time and orders: applied, refused or repeated",
    ),
    Metric("emberline_chunk_seconds", "histogram", ("stage",), "time a chunk takes in one stage"),
    Metric(
        "emberline_alarm_delay_seconds", "histogram", (), "from a report's arrival at the broker to its alarm's sending"
    ),
    Metric("emberline_checkpoint_rows_total", "counter", (), "device rows written to the checkpoint topic"),
    Metric(
        "emberline_bad_checkpoint_records_total",
        "counter",
        ("reason",),
        "checkpoint records that could not be used when a partition was restored",
    ),
    Metric("emberline_checkpoint_seconds", "histogram", (), "time from a checkpoint's snapshot to its acknowledgement"),
    Metric("emberline_moved_devices_total", "counter", (), "devices taken along from another partition"),
    Metric("emberline_devices", "gauge", ("partition",), "devices in the state of a partition"),
    Metric("emberline_inserted_rows_total", "counter", ("table",), "rows stored in ClickHouse"),
    Metric("emberline_insert_seconds", "histogram", ("table",), "time an insert takes"),
    Metric("emberline_repeated_rows_total", "counter", ("table",), "rows that came again after a crash, left out"),
    Metric(
        "emberline_malformed_events_total",
        "counter",
        ("topic",),
        "records of an output topic that are no event of ours",
    ),
    Metric("emberline_lag_records", "gauge", ("topic", "partition"), "records not yet finished"),
    Metric(
        "emberline_idle_seconds", "gauge", (), "longest time that a partition has waited for something to be finished"
    ),
    Metric("emberline_kafka_silent_seconds", "gauge", (), "time since all brokers that a worker needs have answered"),
    Metric("emberline_outbox_rows", "gauge", (), "changes of the registry that wait to be published"),
    Metric("emberline_topic_differences", "gauge", ("weight",), "how topics differ from what is relied on"),
)


class Metrics:
    """The metrics of one worker process, by name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters = {one.name: _counter(one, self.registry) for one in METRICS if one.kind == "counter"}
        self._gauges = {one.name: _gauge(one, self.registry) for one in METRICS if one.kind == "gauge"}
        self._histograms = {one.name: _histogram(one, self.registry) for one in METRICS if one.kind == "histogram"}

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        (self._counters[name].labels(**labels) if labels else self._counters[name]).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        (self._gauges[name].labels(**labels) if labels else self._gauges[name]).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Note one value in a histogram."""
        (self._histograms[name].labels(**labels) if labels else self._histograms[name]).observe(value)


def _counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.what, metric.labels, registry=registry)


def _gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.what, metric.labels, registry=registry)


def _histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    return Histogram(metric.name, metric.what, metric.labels, buckets=LATENCY_BUCKETS_S, registry=registry)
