"""Hypothesis strategies for everything the core is about: ids, geometries, fragments, states."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from latentcrdt.core.encoding import digest
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype, Geometry, LayerSpec, RopeDescriptor, RopeStyle
from latentcrdt.core.header import LATENT_TOKEN
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.testing.fragments import make_fragment, make_rope

Draw = st.DrawFn

NAME_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def fragment_ids() -> st.SearchStrategy[FragmentId]:
    """Return a strategy for ids, drawn from few enough that sets of them overlap."""
    return st.integers(0, 40).map(lambda n: FragmentId(digest(n.to_bytes(2, "little"))))


@st.composite
def states(draw: Draw) -> LatentState:
    """Draw a state; two of them usually share members, few are retracted."""
    if draw(st.integers(0, 9)) == 0:
        return LatentState(retracted=True)
    ids = draw(st.sets(fragment_ids(), max_size=12))
    return LatentState(ids, expires_at=draw(st.none() | st.integers(0, 5)))


def state_names() -> st.SearchStrategy[StateName]:
    """Return a strategy for legal state names of every length."""
    first = st.sampled_from(NAME_ALPHABET)
    rest = st.text(alphabet=NAME_ALPHABET + "._-", max_size=62)
    return st.builds(lambda a, b: StateName(a + b), first, rest)


@st.composite
def rope_descriptors(draw: Draw, *, max_rotary_dim: int = 8) -> RopeDescriptor:
    """Draw a descriptor of either style, partial rotary and other thetas included."""
    return make_rope(
        2 * draw(st.integers(1, max_rotary_dim // 2)),
        draw(st.sampled_from(RopeStyle)),
        draw(st.sampled_from([10_000.0, 500_000.0, 1_000_000.0])),
    )


@st.composite
def geometries(
    draw: Draw, *, dtypes: Sequence[Dtype] = tuple(Dtype), max_layers: int = 3
) -> Geometry:
    """Draw a geometry: full and sliding layers, with and without rope, of different shapes."""
    ropes: list[RopeDescriptor] = []
    layers = []
    for _ in range(draw(st.integers(1, max_layers))):
        key_dim = draw(st.integers(2, 9))
        rope = draw(st.none() | rope_descriptors(max_rotary_dim=key_dim))
        if rope is not None and rope not in ropes:
            ropes.append(rope)  # in the order of first use, as the one spelling wants it
        layers.append(
            LayerSpec(
                num_kv_heads=draw(st.integers(1, 3)),
                key_dim=key_dim,
                value_dim=draw(st.integers(1, 9)),
                rope=None if rope is None else ropes.index(rope),
                window=draw(st.none() | st.integers(2, 8)),
            )
        )
    model_id = draw(st.sampled_from(["test-model@0000", "another-model@0001", "modèle@0002"]))
    return Geometry(model_id, draw(st.sampled_from(dtypes)), tuple(ropes), tuple(layers))


@st.composite
def fragments(
    draw: Draw,
    *,
    geometry: Geometry | None = None,
    prefix: Fragment | None = None,
    max_seq_len: int = 9,
) -> Fragment:
    """Draw a fragment; of this geometry and behind this prefix, when given."""
    seq_len = draw(st.integers(1, max_seq_len))
    tokens = st.lists(st.integers(LATENT_TOKEN, 50_000), min_size=seq_len, max_size=seq_len)
    return make_fragment(
        draw(st.integers(0, 2**32)),
        geometry=geometry or draw(geometries()),
        start=draw(st.integers(0, 5000)) if prefix is None else prefix.header.stop,
        seq_len=seq_len,
        prefix=None if prefix is None else prefix.fragment_id,
        token_ids=draw(st.none() | tokens),
    )


@st.composite
def fragment_sets(draw: Draw, *, min_size: int = 1, max_size: int = 8) -> list[Fragment]:
    """Draw distinct fragments of one compatibility class."""
    geometry = draw(geometries())
    return draw(
        st.lists(
            fragments(geometry=geometry),
            min_size=min_size,
            max_size=max_size,
            unique_by=lambda fragment: fragment.fragment_id,
        )
    )


@st.composite
def deliveries(draw: Draw, items: Sequence[Fragment]) -> list[Fragment]:
    """Draw a way for all of the items to arrive: in any order, some of them more than once."""
    again = draw(st.lists(st.sampled_from(items), max_size=len(items)))
    return draw(st.permutations([*items, *again]))
