"""What Prometheus can ask: counters and timings of this process, sizes of what it holds.

Rule: a label's values are known beforehand: routes, methods, codes, peers. Never an id, or the name
of a state: each value costs memory here and in Prometheus for as long as the process lives.
"""

from __future__ import annotations

import platform
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from latentcrdt_server.problems import STATUS

SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60)
"""Bucket bounds: from a listing in memory to a render of many gigabytes."""


class Metrics:
    """The metrics of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        ProcessCollector(registry=r)
        build = Info("latentcrdt_build", "The release that runs.", registry=r)
        build.info({"version": version("latentcrdt"), "python": platform.python_version()})
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
        self.problems = Counter(
            "latentcrdt_problems",
            "Requests answered by a problem, by its code.",
            ("code",),
            registry=r,
        )
        self.inflight_push_bytes = Gauge(
            "latentcrdt_inflight_push_bytes",
            "Memory set aside for pushes under way: their length, at most 8 MiB each.",
            registry=r,
        )
        self.inflight_streams = Gauge(
            "latentcrdt_inflight_streams", "Fragments and renders being sent.", registry=r
        )
        self.states = Gauge("latentcrdt_states", "States that live.", registry=r)
        self.fragments = Gauge(
            "latentcrdt_fragments", "Members of states, each fragment counted once.", registry=r
        )
        self.store_bytes = Gauge(
            "latentcrdt_store_bytes", "Bytes of the files of measured members.", registry=r
        )
        self.unmeasured_fragments = Gauge(
            "latentcrdt_unmeasured_fragments",
            "Members whose header was not read: not yet, after a start, or they are not held.",
            registry=r,
        )
        self.quarantined_files = Gauge(
            "latentcrdt_quarantined_files",
            "Fragments and logs found damaged and kept for a person to look at.",
            registry=r,
        )
        self.passed_over_bytes = Gauge(
            "latentcrdt_passed_over_bytes",
            "Bytes of memberships, found at the last start, in which no record verifies.",
            registry=r,
        )
        self.disk_available_bytes = Gauge(
            "latentcrdt_disk_available_bytes",
            "Room left on the file system of the data directory.",
            registry=r,
        )
        self.disk_size_bytes = Gauge(
            "latentcrdt_disk_size_bytes", "Size of the same file system.", registry=r
        )
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
        for code in STATUS:
            self.problems.labels(code)  # so that the first one is a rise, too
