"""What the client answers: frozen values, read from the server's documents and checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from latentcrdt.core.encoding import as_int, as_list, as_text
from latentcrdt.core.geometry import MAX_MODEL_ID_BYTES, MAX_POSITION
from latentcrdt.core.ids import ClassId, FragmentId, RootDigest, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import UnexpectedAnswerError

MAX_COUNT = 2**63 - 1
"""Bound of a count or size in a document; what it may cost is checked where memory is taken."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of a push."""

    fragment_id: FragmentId
    created: bool
    """Whether the state grew."""
    sent: bool
    """Whether the body was sent; False when the server held the fragment already."""


@dataclass(frozen=True, slots=True)
class StateSummary:
    """One line of the list of states."""

    name: StateName
    root: RootDigest
    """Equal on two servers exactly when the states are."""
    num_fragments: int


@dataclass(frozen=True, slots=True)
class Member:
    """One fragment of a state, as the server summarises it."""

    fragment_id: FragmentId
    class_id: ClassId
    model_id: str
    dtype: str
    num_layers: int
    start: int
    seq_len: int
    num_latent_rows: int
    prefix: FragmentId | None
    body_bytes: int
    sort_key: float


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """How a server stands with one of its peers."""

    url: str
    is_equal: bool | None
    """Whether all roots were equal at the last contact; None: there was none, or it failed."""
    last_contact: float | None
    """When a round last came to its end, in Unix seconds."""
    error: str | None
    """Code of what went wrong in the last round."""
    num_differing: int
    """Members known to differ and not copied yet, or not to be had."""
    bytes_received: int
    bytes_sent: int


@dataclass(frozen=True, slots=True)
class StateListing:
    """A state's members; the root was recomputed from their ids and found equal."""

    name: StateName
    root: RootDigest
    members: tuple[Member, ...]


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn every way in which a document can be shaped wrong into UnexpectedAnswerError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnexpectedAnswerError(
            f"expected {what}, got another document: {error!r:.200}"
        ) from error


def read_flag(document: Any, name: str) -> bool:
    """Return a boolean of a document, and nothing that merely looks true."""
    value = document[name]
    if type(value) is not bool:
        raise TypeError(f"{name}: expected true or false, got {value!r:.60}")
    return value


def read_summaries(document: Any) -> list[StateSummary]:
    """Return the states that a StatesDocument lists."""
    with reading("a list of states"):
        return [
            StateSummary(
                StateName(as_text(entry["name"], "name", 64)),
                RootDigest.parse(entry["root"]),
                as_int(entry["fragments"], "fragments", 0, MAX_COUNT),
            )
            for entry in as_list(document["states"], "states")
        ]


def read_peers(document: Any) -> list[PeerStatus]:
    """Return the peers that a PeersDocument lists."""
    with reading("a list of peers"):
        return [_peer(entry) for entry in as_list(document["peers"], "peers")]


def read_listing(document: Any, name: StateName) -> StateListing:
    """Return a state's members; UnexpectedAnswerError when the root is not that of the ids."""
    with reading("a state"):
        members = tuple(_member(entry) for entry in as_list(document["members"], "members"))
        root = RootDigest.parse(document["root"])
    actual = LatentState(member.fragment_id for member in members).root
    if actual != root or len({member.fragment_id for member in members}) != len(members):
        raise UnexpectedAnswerError(
            f"state {name}: expected distinct members whose root is {root}, got {actual}"
        )
    return StateListing(name, root, members)


def read_ids(values: Any, name: str) -> list[FragmentId]:
    """Return the fragment ids of a list of hexadecimal texts."""
    return [FragmentId.parse(as_text(value, name, 64)) for value in as_list(values, name)]


def _peer(entry: Any) -> PeerStatus:
    last, error = entry["last_contact"], entry["error"]
    return PeerStatus(
        url=as_text(entry["url"], "url", 2048),
        is_equal=None if entry["is_equal"] is None else read_flag(entry, "is_equal"),
        last_contact=None if last is None else float(last),
        error=None if error is None else as_text(error, "error", 80),
        num_differing=as_int(entry["num_differing"], "num_differing", 0, MAX_COUNT),
        bytes_received=as_int(entry["bytes_received"], "bytes_received", 0, MAX_COUNT),
        bytes_sent=as_int(entry["bytes_sent"], "bytes_sent", 0, MAX_COUNT),
    )


def _member(entry: Any) -> Member:
    prefix = entry["prefix"]
    return Member(
        fragment_id=FragmentId.parse(entry["id"]),
        class_id=ClassId.parse(entry["class_id"]),
        model_id=as_text(entry["model_id"], "model_id", MAX_MODEL_ID_BYTES),
        dtype=as_text(entry["dtype"], "dtype", 16),
        num_layers=as_int(entry["num_layers"], "num_layers", 1, MAX_COUNT),
        start=as_int(entry["start"], "start", 0, MAX_POSITION),
        seq_len=as_int(entry["seq_len"], "seq_len", 1, MAX_POSITION),
        num_latent_rows=as_int(entry["num_latent_rows"], "num_latent_rows", 0, MAX_POSITION),
        prefix=None if prefix is None else FragmentId.parse(prefix),
        body_bytes=as_int(entry["body_bytes"], "body_bytes", 0, MAX_COUNT),
        sort_key=float.fromhex(as_text(entry["key_hex"], "key_hex", 64)),
    )
