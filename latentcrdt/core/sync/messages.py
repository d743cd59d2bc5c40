"""Question and answer: which nodes of a state's id tree, and what they hold.

Canonical bytes, on the wire as ``application/vnd.msgpack``::

    question  ["latentcrdt.sync.question", 1, salt, [prefix, ...]]
    answer    ["latentcrdt.sync.answer", 1, [[ids joined, nil] or [nil, children joined], ...]]
"""

from __future__ import annotations

from dataclasses import dataclass

from latentcrdt.core.delta import split_ids
from latentcrdt.core.encoding import (
    Buffer,
    as_bytes,
    as_list,
    check_one_spelling,
    decode,
    encode,
)
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.tree import DIGITS, MAX_DEPTH, NODE_DIGEST_BYTES, IdTree
from latentcrdt.errors import MalformedError

QUESTION = "latentcrdt.sync.question"
ANSWER = "latentcrdt.sync.answer"
VERSION = 1

SALT_BYTES = 16

MAX_PREFIXES = 4096
"""Nodes in one question: their answer has at most half a megabyte, and the tree of a million ids
is asked about at this many nodes at a time."""

MAX_LEAF_IDS = 8
"""A node with so few ids answers with them: as many bytes as two rounds of digests."""


@dataclass(frozen=True, slots=True)
class Question:
    """Asks for nodes of a state's tree, by the digits that lead to them."""

    salt: bytes
    """Chosen by the asker at random for one comparison; mixed into every digest."""
    prefixes: tuple[str, ...]

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return encode(QUESTION, VERSION, [self.salt, list(self.prefixes)])

    @classmethod
    def decode(cls, data: Buffer) -> Question:
        """Read the canonical bytes; raises InvalidInputError for any others."""
        salt, prefixes = as_list(decode(QUESTION, VERSION, data), "question", 2)
        as_bytes(salt, "salt", SALT_BYTES)
        for prefix in as_list(prefixes, "prefixes", max_length=MAX_PREFIXES):
            if type(prefix) is not str or len(prefix) > MAX_DEPTH or not set(prefix) <= set(DIGITS):
                raise MalformedError(
                    f"prefix: expected at most {MAX_DEPTH} hexadecimal digits, got {prefix!r:.80}"
                )
        question = cls(salt, tuple(prefixes))
        check_one_spelling("question", data, question.encode())
        return question


@dataclass(frozen=True, slots=True)
class Leaf:
    """All ids below a node that has few."""

    ids: tuple[FragmentId, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """The digests of a node's sixteen children."""

    children: tuple[bytes, ...]


Node = Leaf | Branch


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    """The nodes that a question asked for, in its order."""

    nodes: tuple[Node, ...]

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return encode(ANSWER, VERSION, [[_fields(node) for node in self.nodes]])

    @classmethod
    def decode(cls, data: Buffer) -> SyncAnswer:
        """Read the canonical bytes; raises InvalidInputError for any others."""
        (nodes,) = as_list(decode(ANSWER, VERSION, data), "answer", 1)
        answer = cls(tuple(_node(f) for f in as_list(nodes, "nodes", max_length=MAX_PREFIXES)))
        check_one_spelling("answer", data, answer.encode())
        return answer


def answer_question(state: LatentState, question: Question) -> SyncAnswer:
    """Return the nodes asked for, as the state is now."""
    tree = IdTree(state.ids)
    nodes: list[Node] = []
    for prefix in question.prefixes:
        ids = tree.below(prefix)
        if len(ids) <= MAX_LEAF_IDS or len(prefix) == MAX_DEPTH:
            nodes.append(Leaf(tuple(ids)))
        else:
            nodes.append(Branch(tree.children(prefix, question.salt)))
    return SyncAnswer(tuple(nodes))


def _fields(node: Node) -> list[bytes | None]:
    if isinstance(node, Leaf):
        return [b"".join(node.ids), None]
    return [None, b"".join(node.children)]


def _node(fields: object) -> Node:
    ids, children = as_list(fields, "node", 2)
    if children is None:
        return Leaf(tuple(split_ids(as_bytes(ids, "ids"))))
    joined = as_bytes(children, "children", len(DIGITS) * NODE_DIGEST_BYTES)
    size = NODE_DIGEST_BYTES
    return Branch(tuple(joined[i : i + size] for i in range(0, len(joined), size)))
