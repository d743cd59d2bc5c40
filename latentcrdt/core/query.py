"""RenderQuery: which render of a state is meant, and its spelling in a URL's query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from latentcrdt.core.ids import ClassId, FragmentId
from latentcrdt.core.merge_choice import MergeChoice
from latentcrdt.core.plan import Layout
from latentcrdt.errors import InvalidRequestError

CANONICAL = "canonical"

PARAMETERS = frozenset({"layout", "stride", "order", "class", "layers", "merge"})
"""Every parameter that a URL's query may have."""


@dataclass(frozen=True, slots=True)
class RenderQuery:
    """What a caller may choose about a render; the defaults are CanonicalMerge of everything."""

    layout: Layout = Layout.SEQUENTIAL
    stride: int | None = None
    """Tokens between slots; with layout ``slotted`` only."""
    order: tuple[FragmentId, ...] | None = None
    """None: canonical. Otherwise BagMerge: these members, in this order, each once."""
    class_id: ClassId | None = None
    """The compatibility class, when the state holds several."""
    layers: str | None = None
    """``a:b``: only these layers. None: all."""
    merge: str | None = None
    """``STRATEGY`` or ``STRATEGY:name=number,...``: the fragments are branches, captured behind one
    prefix at the same positions, and are blended into one instead of laid side by side."""

    def __post_init__(self) -> None:
        if self.order is not None and len(set(self.order)) != len(self.order):
            raise InvalidRequestError("order: expected each id once, as in a set; got a repetition")
        if self.merge is not None:
            # One spelling: equal questions are equal values.
            object.__setattr__(self, "merge", str(MergeChoice.parse(self.merge)))
            if self.layout is not Layout.SEQUENTIAL or self.stride is not None:
                raise InvalidRequestError(
                    "merge: expected neither layout nor stride; branches stay where they were "
                    f"captured, got {self.layout}"
                )

    @property
    def merge_choice(self) -> MergeChoice | None:
        """How branches are merged, if they are."""
        return None if self.merge is None else MergeChoice.parse(self.merge)

    def of_branches(self) -> RenderQuery:
        """Return the query for the branches that this one merges, unmerged and in all layers."""
        return replace(self, layout=Layout.PARALLEL, layers=None, merge=None)

    def to_params(self) -> dict[str, str]:
        """Return the query parameters that spell this; defaults are left out."""
        params = {}
        if self.layout is not Layout.SEQUENTIAL:
            params["layout"] = str(self.layout)
        if self.stride is not None:
            params["stride"] = str(self.stride)
        if self.order is not None:
            params["order"] = ",".join(map(str, self.order))
        if self.class_id is not None:
            params["class"] = str(self.class_id)
        if self.layers is not None:
            params["layers"] = self.layers
        if self.merge is not None:
            params["merge"] = self.merge
        return params

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> RenderQuery:
        """Return the query that the parameters spell; InvalidRequestError names a wrong one."""
        if unknown := sorted(params.keys() - PARAMETERS):
            raise InvalidRequestError(f"expected parameters {sorted(PARAMETERS)}, got {unknown}")
        layout = params.get("layout", str(Layout.SEQUENTIAL))
        if layout not in list(Layout):
            raise InvalidRequestError(f"layout: expected one of {list(Layout)}, got {layout!r:.40}")
        stride = params.get("stride")
        if stride is not None and not (stride.isascii() and stride.isdigit() and len(stride) < 11):
            raise InvalidRequestError(f"stride: expected a number of tokens, got {stride!r:.40}")
        order = params.get("order", CANONICAL)
        return cls(
            layout=Layout(layout),
            stride=None if stride is None else int(stride),
            order=None if order == CANONICAL else tuple(map(FragmentId.parse, order.split(","))),
            class_id=ClassId.parse(params["class"]) if "class" in params else None,
            layers=params.get("layers"),
            merge=params.get("merge"),
        )
