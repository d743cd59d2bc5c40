from __future__ import annotations

from latentcrdt.evals.confluence.battery import battery
from latentcrdt.evals.confluence.fork import MOST_TRIMMED
from latentcrdt.hf import load_smollm2


def test_there_are_267_distinct_pairs_in_16_categories() -> None:
    pairs = [pair for category in battery() for pair in category.pairs]
    assert (len(battery()), len(pairs)) == (16, 267)
    assert len({(p.prefix, p.a, p.b) for p in pairs}) == len({p.pair_id for p in pairs}) == 267
    assert all(p.a != p.b for p in pairs)


def test_every_kind_that_the_source_tells_apart_is_there() -> None:
    assert {c.expected for c in battery()} == {"merge", "collapse", "variable", "washout"}
    assert all(len(c.pairs) >= 16 for c in battery())


def test_smollm2_can_be_asked_about_every_pair() -> None:
    _, tokenizer = load_smollm2()
    for category in battery():
        for pair in category.pairs:
            a, b = (
                tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
                for text in (pair.a, pair.b)
            )
            assert abs(len(a) - len(b)) <= MOST_TRIMMED, pair
