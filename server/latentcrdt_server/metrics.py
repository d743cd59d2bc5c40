"""What Prometheus can ask: counters and timings of this process, sizes of its store."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60)
"""Bucket bounds: from a listing in memory to a render of many gigabytes."""


class Metrics:
    """The metrics of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.push_bytes = Counter(
            "latentcrdt_push_bytes", "Bytes of fragments received.", registry=r
        )
        self.fetch_bytes = Counter(
            "latentcrdt_fetch_bytes", "Bytes of fragments and renders sent.", registry=r
        )
        self.dedupe_hits = Counter(
            "latentcrdt_dedupe_hits", "Pushes answered without reading their body.", registry=r
        )
        self.digest_mismatches = Counter(
            "latentcrdt_digest_mismatch", "Pushes whose bytes were not what they said.", registry=r
        )
        self.inflight_push_bytes = Gauge(
            "latentcrdt_inflight_push_bytes",
            "Memory set aside for pushes under way: their length, at most 8 MiB each.",
            registry=r,
        )
        self.fragments = Gauge("latentcrdt_fragments", "Fragments held.", registry=r)
        self.store_bytes = Gauge("latentcrdt_store_bytes", "Bytes of fragments held.", registry=r)
        self.request_seconds = Histogram(
            "latentcrdt_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("route", "method", "code"),
            buckets=SECONDS,
            registry=r,
        )
        self.render_seconds = Histogram(
            "latentcrdt_render_seconds",
            "Time spent making the bytes of a render.",
            buckets=SECONDS,
            registry=r,
        )
