"""How replicas stand with each other, as Prometheus reads it."""

from __future__ import annotations

import math
from pathlib import Path

import httpx2
from latentcrdt_server.child_process import ServerProcess
from latentcrdt_server.documents import PeerDocument
from latentcrdt_server.peer_metrics import PeerMetrics, without_credentials
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.conftest import FreshFragment
from tests.server.wire import push, wait_until

Samples = dict[tuple[str, str], float]


def samples_of(text: str) -> Samples:
    """Return values by name and peer."""
    return {
        (sample.name.removeprefix("latentcrdt_peer_"), sample.labels["peer"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "peer" in sample.labels
    }


def document(url: str, **changed: object) -> PeerDocument:
    fields: dict[str, object] = {
        "url": url,
        "is_equal": None,
        "last_contact": None,
        "error": None,
        "num_differing": 0,
        "bytes_received": 0,
        "bytes_sent": 0,
    }
    return PeerDocument(**(fields | changed))  # type: ignore[typeddict-item]


def scraped(*documents: PeerDocument) -> Samples:
    return samples_of(generate_latest(PeerMetrics(documents)).decode())


def test_a_peer_never_met_looks_long_gone() -> None:
    samples = scraped(document("http://b:8000"))
    assert math.isnan(samples["equal", "http://b:8000"])
    # Not NaN: an alert on the age of the last contact has to fire.
    assert samples["last_contact_timestamp_seconds", "http://b:8000"] == 0


def test_each_peer_has_its_own_samples() -> None:
    met = {"is_equal": True, "last_contact": 1700000000.5, "bytes_received": 7, "bytes_sent": 9}
    samples = scraped(
        document("http://b", **met), document("http://c", is_equal=False, num_differing=3)
    )
    assert samples["equal", "http://b"] == 1
    assert samples["last_contact_timestamp_seconds", "http://b"] == 1700000000.5
    assert samples["received_bytes_total", "http://b"] == 7
    assert samples["sent_bytes_total", "http://b"] == 9
    assert samples["equal", "http://c"] == 0
    assert samples["differing_members", "http://c"] == 3


def test_a_label_never_holds_a_password_or_comes_twice() -> None:
    samples = scraped(document("http://me:pass@b:1"), document("http://b:1", is_equal=True))
    assert {peer for _, peer in samples} == {"http://b:1"}
    for url in ("https://b:1/prefix", "http://[::1]:8000", "http://b"):
        assert without_credentials(url) == url
        scheme, _, rest = url.partition("://")
        assert without_credentials(f"{scheme}://me:p%40ss@{rest}") == url


def test_two_servers_tell_when_they_are_equal_and_what_they_moved(
    tmp_path: Path, fresh: FreshFragment
) -> None:
    fragment = fresh()
    with ServerProcess(tmp_path / "one") as one:
        peers = f'["{one.url}"]'
        with (
            ServerProcess(tmp_path / "two", peers=peers, sync_interval_s=0.05) as two,
            httpx2.Client(base_url=one.url) as first,
            httpx2.Client(base_url=two.url) as second,
        ):

            def read(name: str) -> float:
                return samples_of(second.get("/metrics").text)[name, one.url]

            wait_until(lambda: read("equal") == 1)
            met = read("last_contact_timestamp_seconds")
            assert push(first, "s", fragment).status_code == 201
            wait_until(lambda: read("received_bytes_total") == fragment.num_bytes)
            wait_until(lambda: read("equal") == 1)
            assert read("last_contact_timestamp_seconds") > met
            assert read("differing_members") == 0
            assert one.stop() == 0
            wait_until(lambda: math.isnan(read("equal")))
            assert read("last_contact_timestamp_seconds") > 0
