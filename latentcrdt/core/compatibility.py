"""Compatibility classes: which fragments can render together (RENDER_SPEC section 4).

A class is computed from headers, by any reader, at any time. It is never a condition of merge: a
state accepts every fragment, and only a render asks which class is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from latentcrdt.core.encoding import digest, encode
from latentcrdt.core.geometry import Geometry
from latentcrdt.core.ids import ClassId, FragmentId
from latentcrdt.errors import AmbiguousClassError, ClassNotFoundError, NothingToRenderError

KIND = "latentcrdt.class"
VERSION = 1


def class_id(geometry: Geometry, prefix: FragmentId | None) -> ClassId:
    """Return the id of the class of fragments with this geometry, captured behind this prefix."""
    return ClassId(digest(encode(KIND, VERSION, [*geometry.fields(), prefix and bytes(prefix)])))


class Classed(Protocol):
    """A fragment as far as its class goes: a header, or a summary of one."""

    @property
    def class_id(self) -> ClassId:
        """The class that it belongs to."""

    @property
    def prefix(self) -> FragmentId | None:
        """What it was captured behind."""


C = TypeVar("C", bound=Classed)


def select_class(
    members: Mapping[FragmentId, C], wanted: ClassId | None = None
) -> dict[FragmentId, C]:
    """Return the members of one class: the one wanted, or the only one there is.

    A member that another member names as its prefix is a fork point, not a contribution: a class
    of nothing but fork points is passed over unless it is asked for by id, or is all there is.

    Raises NothingToRenderError for no members, AmbiguousClassError (which lists the classes) when
    none is wanted and several are there, ClassNotFoundError when the wanted one is not.
    """
    if not members:
        raise NothingToRenderError("expected at least one fragment to render, got an empty state")
    classes: dict[ClassId, dict[FragmentId, C]] = {}
    for fragment_id, member in members.items():
        classes.setdefault(member.class_id, {})[fragment_id] = member
    if wanted is not None:
        if wanted not in classes:
            raise ClassNotFoundError(
                f"class {wanted}: no member; the state has {_names(classes)}",
                id=str(wanted),
                classes=_names(classes),
            )
        return classes[wanted]
    fork_points = {member.prefix for member in members.values()}
    candidates = {c: m for c, m in classes.items() if not m.keys() <= fork_points} or classes
    if len(candidates) > 1:
        raise AmbiguousClassError(
            f"expected one class to render, got {len(candidates)}: {_names(candidates)}; name one",
            classes=_names(candidates),
        )
    return next(iter(candidates.values()))


def _names(classes: Iterable[ClassId]) -> list[str]:
    return sorted(str(c) for c in classes)
