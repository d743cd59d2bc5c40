"""What is kept of fragments: an opening believes it where the sizes agree, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import StateName
from latentcrdt.core.summary import Summary
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError, MalformedError
from latentcrdt.render.sort_key import sort_key
from latentcrdt.replication.replica import Replica
from latentcrdt.store import objects
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.summaries import MAX_FILES
from latentcrdt.testing.fragments import make_fragment, make_geometry

NAME = StateName("s")
FRAGMENTS = [make_fragment(seed, seq_len=seed + 1) for seed in range(5)]
ONE = FRAGMENTS[0]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    replica = Replica(DirectoryStore(tmp_path))
    for fragment in FRAGMENTS:
        replica.push(NAME, fragment)
    replica.close()
    return tmp_path


@pytest.fixture
def heads_read(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The ids of the objects whose heads were read while a store was opened, and since."""
    read: list[object] = []
    read_header = objects.read_header

    def counting(file: object, fragment_id: object) -> object:
        read.append(fragment_id)
        return read_header(file, fragment_id)  # type: ignore[arg-type]

    monkeypatch.setattr(objects, "read_header", counting)
    return read


def path_of(root: Path, fragment: Fragment) -> Path:
    text = str(fragment.fragment_id)
    return root / "obj" / text[:2] / text


def test_a_summary_says_of_a_fragment_what_its_header_says() -> None:
    prefix = make_fragment(9)
    fragment = make_fragment(1, start=5, prefix=prefix.fragment_id, token_ids=[3, -1, -1, 4, 5])
    summary = Summary.of(fragment.header, 1.5)
    header = fragment.header
    assert summary.fragment_id == fragment.fragment_id
    assert (summary.class_id, summary.prefix) == (header.class_id, header.prefix)
    assert (summary.start, summary.seq_len, summary.num_latent_rows) == (5, 5, 2)
    assert (summary.body_bytes, summary.file_bytes) == (header.body_bytes, fragment.num_bytes)
    assert summary.sort_key == 1.5


@pytest.mark.parametrize("key", [None, 0.0, 1.2345678901234567, 5e-324])
@pytest.mark.parametrize("prefix", [None, ONE.fragment_id])
def test_a_summary_is_read_as_it_was_written(key: float | None, prefix: object) -> None:
    summary = Summary.of(make_fragment(2, prefix=prefix).header, key)  # type: ignore[arg-type]
    assert Summary.decode(summary.encoded) == summary


def test_summaries_of_one_class_share_what_they_have_in_common() -> None:
    decoded = [Summary.decode(Summary.of(f.header).encoded) for f in FRAGMENTS[:2]]
    assert decoded[0].kin is decoded[1].kin
    other = Summary.of(make_fragment(0, geometry=make_geometry(num_layers=1)).header)
    assert other.kin is not decoded[0].kin


@pytest.mark.parametrize("cut", [1, 30])
def test_what_is_no_summary_is_refused(cut: int) -> None:
    with pytest.raises(MalformedError):
        Summary.decode(Summary.of(ONE.header).encoded[:-cut])


def test_an_opening_reads_no_head_of_what_was_pushed(
    filled: Path, heads_read: list[object]
) -> None:
    replica = Replica(DirectoryStore(filled))
    found = replica.fragments.summaries(replica.state(NAME))
    assert heads_read == []
    assert found == {
        f.fragment_id: Summary.of(f.header, sort_key(f))
        for f in sorted(FRAGMENTS, key=lambda f: f.fragment_id)
    }
    replica.close()


@pytest.mark.parametrize("damage", [b"", ONE.to_bytes()[:-1], ONE.to_bytes() + b"\0"])
def test_an_object_of_another_size_is_quarantined_at_the_start(filled: Path, damage: bytes) -> None:
    path_of(filled, ONE).write_bytes(damage)
    store = DirectoryStore(filled)
    assert not store.has(ONE.fragment_id)
    assert store.summary(ONE.fragment_id) is None
    assert store.damage().num_quarantined == 1
    with pytest.raises(FragmentNotFoundError):
        Replica(store).fragments.summaries([ONE.fragment_id])
    store.close()


def test_a_damaged_head_of_the_right_size_is_found_when_it_is_first_read(filled: Path) -> None:
    wrong = bytearray(ONE.to_bytes())
    wrong[40] ^= 1
    path_of(filled, ONE).write_bytes(wrong)
    store = DirectoryStore(filled)
    with pytest.raises(CorruptFragmentError):
        store.get(ONE.fragment_id)
    assert store.summary(ONE.fragment_id) is None
    assert not store.has(ONE.fragment_id)
    store.close()


def test_an_object_that_is_gone_has_no_summary(filled: Path) -> None:
    path_of(filled, ONE).unlink()
    store = DirectoryStore(filled)
    assert store.summary(ONE.fragment_id) is None
    assert store.summary(FRAGMENTS[1].fragment_id) is not None
    store.remove(FRAGMENTS[1].fragment_id)
    assert store.summary(FRAGMENTS[1].fragment_id) is None
    store.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: bytes(len(data)),
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: b"other" + data,
    ],
    ids=["empty", "torn", "zeros", "a bit flipped", "something before it"],
)
def test_what_is_lost_of_the_summaries_is_made_again(
    filled: Path, heads_read: list[object], damage: object
) -> None:
    for path in (filled / "summaries").iterdir():
        path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    for _ in range(2):
        replica = Replica(DirectoryStore(filled))
        found = replica.fragments.summaries(replica.state(NAME))
        assert found == {f.fragment_id: Summary.of(f.header, sort_key(f)) for f in FRAGMENTS}
        replica.close()
    heads_read.clear()
    DirectoryStore(filled).close()
    assert heads_read == []


def test_summaries_of_a_later_release_are_passed_over(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentcrdt.core.summary.VERSION", 2)
    for path in (filled / "summaries").iterdir():
        path.unlink()
    DirectoryStore(filled).close()
    monkeypatch.undo()
    store = DirectoryStore(filled)
    assert set(store.ids()) == {f.fragment_id for f in FRAGMENTS}
    assert store.damage().num_quarantined == 0
    store.close()


def test_files_of_many_boots_become_one(tmp_path: Path, heads_read: list[object]) -> None:
    for fragment in FRAGMENTS:
        replica = Replica(DirectoryStore(tmp_path))
        replica.push(NAME, fragment)
        replica.close()
    assert len(FRAGMENTS) == MAX_FILES + 1
    DirectoryStore(tmp_path).close()
    assert len(list((tmp_path / "summaries").iterdir())) == 1
    heads_read.clear()
    DirectoryStore(tmp_path).close()
    assert heads_read == []


def test_a_disk_without_room_for_summaries_takes_fragments_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(store := DirectoryStore(tmp_path))
    create = store._disk.create

    def refusing(path: Path) -> object:
        if path.parent.name == "summaries":
            raise OSError(28, "no room")
        return create(path)

    monkeypatch.setattr(store._disk, "create", refusing)
    assert replica.push(NAME, ONE).created
    assert store.summary(ONE.fragment_id) is not None
    replica.close()
