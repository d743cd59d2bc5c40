"""The readable answers of this API that are not already in ``latentcrdt.core.documents``."""

from __future__ import annotations

from typing_extensions import TypedDict

from latentcrdt.core.documents import HeaderDocument


class PushDocument(TypedDict):
    """Answer to a push: durable from here on."""

    id: str
    state: str
    created: bool
    """Whether the state grew."""
    fragment: HeaderDocument


class InsertDocument(TypedDict):
    """Answer to adding a fragment that is held already."""

    id: str
    state: str
    created: bool


class DeclareDocument(TypedDict):
    """Answer to declaring a state."""

    name: str
    created: bool


class RetractDocument(TypedDict):
    """Answer to retracting a state."""

    name: str
    retracted: bool
    """Whether it was not before."""


class PeerDocument(TypedDict):
    """How this replica stands with one peer."""

    url: str
    is_equal: bool | None
    """Whether all roots were equal at the last contact; None: there was none, or it failed."""
    last_contact: float | None
    """When a round last came to its end, in Unix seconds."""
    error: str | None
    """Code of what went wrong in the last round, or of the first item that was left behind."""
    num_differing: int
    """Members known to differ and not copied yet, or not to be had."""
    bytes_received: int
    bytes_sent: int
    """Bytes of fragments moved since the server was started."""


class PeersDocument(TypedDict):
    """All peers of this replica."""

    peers: list[PeerDocument]


class MissingDocument(TypedDict):
    """Those of the ids asked for that are not held."""

    missing: list[str]


class StateSummaryDocument(TypedDict):
    """One line of the list of states."""

    name: str
    root: str
    """BLAKE3 over the sorted ids: equal on two servers exactly when their sets are."""
    fragments: int


class StatesDocument(TypedDict):
    """All states."""

    states: list[StateSummaryDocument]


class ClassDocument(TypedDict):
    """One compatibility class of a state."""

    id: str
    fragments: int


class MemberDocument(HeaderDocument):
    """A fragment of a state with its sort key."""

    key: float
    key_hex: str
    """The key exactly, as ``float.hex``."""


class StateDocument(TypedDict):
    """A state: its members in ascending order of their ids."""

    name: str
    root: str
    classes: list[ClassDocument]
    members: list[MemberDocument]
