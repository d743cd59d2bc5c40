"""A service that did what it was asked and whose answer was lost, on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.state import LatentState
from latentcrdt.errors import StoreFailedError
from latentcrdt.store.object_store.obstore_bucket import MAX_RETRIES, PART_BYTES, ObstoreBucket
from latentcrdt.store.object_store.store import ObjectStore
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.store_suite import NAME, put
from tests.object_store.lossy_proxy import LossyProxy
from tests.object_store.seaweed import BUCKET, SeaweedFS
from tests.server.test_memory import make_large


@pytest.fixture
def proxy(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> Iterator[LossyProxy]:
    with LossyProxy(seaweed.endpoint) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        yield between


def open_store(path: Path) -> ObjectStore:
    return ObjectStore(ObstoreBucket.open(f"s3://{BUCKET}/lost-{path.name}"), path)


def test_answers_lost_now_and_then_are_asked_for_again(tmp_path: Path, proxy: LossyProxy) -> None:
    asked: dict[tuple[str, str], int] = {}

    def loses(method: str, path: str) -> bool:
        asked[method, path] = asked.get((method, path), 0) + 1
        return asked[method, path] == 1

    store = open_store(tmp_path)
    proxy.loses = loses
    fragments = [make_fragment(seed) for seed in range(5)]
    for fragment in fragments:
        assert put(store, fragment)
        store.merge(NAME, LatentState([fragment.fragment_id]))
    store.remove(fragments[0].fragment_id)
    assert proxy.num_lost > 3 * len(fragments)
    again = open_store(tmp_path)
    assert again.states() == {NAME: LatentState(f.fragment_id for f in fragments)}
    for fragment in fragments:
        assert again.get(fragment.fragment_id).to_bytes() == fragment.to_bytes()


def test_a_service_whose_answers_are_all_lost_acknowledges_nothing_and_loses_nothing(
    tmp_path: Path, proxy: LossyProxy
) -> None:
    store = open_store(tmp_path)
    fragment = make_fragment(1)
    put(store, fragment)
    proxy.loses = lambda method, path: method == "PUT"
    with pytest.raises(StoreFailedError):
        store.merge(NAME, LatentState([fragment.fragment_id]))
    assert proxy.num_lost == MAX_RETRIES + 1
    proxy.loses = lambda method, path: False
    assert store.refresh() == {NAME: LatentState([fragment.fragment_id])}
    assert open_store(tmp_path).states() == store.states()


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_fragment_sent_in_parts_is_whole_or_not_there_and_can_be_sent_again(
    tmp_path: Path, proxy: LossyProxy, method: str
) -> None:
    """A part's answer lost, or that to the last request, which puts the parts together."""
    fragment = make_large(7, 2_500)
    assert fragment.num_bytes > 2 * PART_BYTES
    store = open_store(tmp_path)
    lost: list[str] = []

    def loses(asked: str, path: str) -> bool:
        if asked != method or "uploadId" not in path or lost:
            return False
        lost.append(path)
        return True

    proxy.loses = loses
    try:
        put_large(store, fragment)
    except StoreFailedError:
        put_large(store, fragment)
    assert lost
    store.verify(fragment.fragment_id)


def put_large(store: ObjectStore, fragment: Fragment) -> None:
    with store.put(max_bytes=fragment.num_bytes) as upload:
        upload.write(fragment.framing)
        upload.write(fragment.body)
        upload.publish()
