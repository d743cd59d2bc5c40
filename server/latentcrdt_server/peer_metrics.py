"""How this replica stands with its peers, in Prometheus' words, as of the scrape."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit, urlunsplit

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from latentcrdt_server.documents import PeerDocument

LABELS = ("peer",)


class PeerMetrics(Collector):
    """One sample a peer of everything that its document says in numbers."""

    def __init__(self, documents: Sequence[PeerDocument]) -> None:
        # A peer that was named twice is one series: two would make the whole scrape invalid.
        self._documents = {without_credentials(one["url"]): one for one in documents}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, empty ones too: their help is there before the first peer."""
        equal = GaugeMetricFamily(
            "latentcrdt_peer_equal",
            "1: all roots were equal at the last contact; 0: not; NaN: none yet, or it failed.",
            labels=LABELS,
        )
        contact = GaugeMetricFamily(
            "latentcrdt_peer_last_contact_timestamp_seconds",
            "When a round with the peer last came to its end; 0: never since the start.",
            labels=LABELS,
        )
        differing = GaugeMetricFamily(
            "latentcrdt_peer_differing_members",
            "Members known to differ and not copied yet, or not to be had.",
            labels=LABELS,
        )
        received = CounterMetricFamily(
            "latentcrdt_peer_received_bytes", "Bytes of fragments taken from it.", labels=LABELS
        )
        sent = CounterMetricFamily(
            "latentcrdt_peer_sent_bytes", "Bytes of fragments given to it.", labels=LABELS
        )
        for peer, document in self._documents.items():
            is_equal = document["is_equal"]
            equal.add_metric([peer], math.nan if is_equal is None else is_equal)
            contact.add_metric([peer], document["last_contact"] or 0.0)
            differing.add_metric([peer], document["num_differing"])
            received.add_metric([peer], document["bytes_received"])
            sent.add_metric([peer], document["bytes_sent"])
        yield from (equal, contact, differing, received, sent)


def without_credentials(url: str) -> str:
    """Return an address without the name and password that it may hold."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
