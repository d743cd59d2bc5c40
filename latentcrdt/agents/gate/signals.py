"""Signals: what can be seen of a merge before anyone answers from it.

Some are read off the fragments. The others take a trial: the question is fed to the render, and to
each fragment alone. A merge that helps expects the question at least as well as the best fragment
does, and knows how to begin the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import log

import torch

from latentcrdt.agents.methods.packllm import question_loss
from latentcrdt.agents.reading import Reading
from latentcrdt.agents.team import Team
from latentcrdt.core.fragment import Fragment
from latentcrdt.hf.continuation import Continuation
from latentcrdt.render.sort_key import sort_key

SMALLEST_GAP = 1e-9
"""Relative gap of sort keys that counts as none: so that it has a logarithm."""


@dataclass(frozen=True, slots=True)
class Signals:
    """Measurements of one merge; JSON-able by `document`."""

    num_fragments: int
    num_rows: int
    """Tokens of the render, prefix included."""
    length_ratio: float
    """Tokens of the longest fragment by those of the shortest."""
    key_gap: float
    """Smallest relative gap of neighbouring sort keys; 1 for a single fragment."""
    key_spread: float
    """Largest sort key by the smallest, less 1."""
    question_loss: float
    """Nats a token, of the question's tokens but the first, under the render."""
    loss_gain: float
    """How much better the render expects the question than the best fragment alone, in nats."""
    entropy: float
    """Of the answer's first token under the render, in nats."""
    margin: float
    """Nats between the two likeliest first tokens."""
    support: float
    """The probability that some fragment alone gives to the render's first token: the largest."""

    def document(self) -> dict[str, float]:
        """Return the signals by name."""
        return asdict(self)

    def features(self) -> list[float]:
        """Return the signals as a risk model takes them: what spans decades, by its logarithm."""
        return [
            float(self.num_fragments),
            log(self.num_rows),
            log(self.length_ratio),
            log(max(self.key_gap, SMALLEST_GAP)),
            self.key_spread,
            self.question_loss,
            self.loss_gain,
            self.entropy,
            self.margin,
            self.support,
        ]


@dataclass(frozen=True, slots=True)
class Trial:
    """Signals, and the render's continuation behind the question: an answer can go on from it."""

    signals: Signals
    ordered: tuple[Fragment, ...]
    """The fragments in the render's order."""
    continuation: Continuation
    logits: torch.Tensor
    """Of the answer's first token, ``[V]``."""
    prefilled_tokens: int
    """Tokens computed for it: the question, once more than there are fragments."""


def try_merge(team: Team, reading: Reading, question: Sequence[int]) -> Trial:
    """Feed a question of at least two tokens to the canonical render and to each fragment alone."""
    ordered = reading.canonical()
    merged = Continuation.of_render(reading.render(ordered), team.model)
    num_rows = merged.num_tokens
    logits = merged.feed(question, keep=len(question)).cpu().double()
    losses, firsts = [], []
    for fragment in ordered:
        alone = Continuation.of_render(reading.render([fragment]), team.model)
        at_question = alone.feed(question, keep=len(question)).cpu().double()
        losses.append(question_loss(at_question, question))
        firsts.append(at_question[-1].softmax(-1))
    loss = question_loss(logits, question)
    likely = logits[-1].log_softmax(-1)
    first, second = likely.topk(2).values.tolist()
    keys = [sort_key(fragment) for fragment in ordered]
    gaps = [(b - a) / b if b else 0.0 for a, b in pairwise(keys)]
    lengths = [fragment.header.seq_len for fragment in ordered]
    signals = Signals(
        num_fragments=len(ordered),
        num_rows=num_rows,
        length_ratio=max(lengths) / min(lengths),
        key_gap=min(gaps, default=1.0),
        key_spread=keys[-1] / keys[0] - 1 if keys[0] else 0.0,
        question_loss=loss,
        loss_gain=min(losses) - loss,
        entropy=float(-(likely.exp() * likely).nansum()),
        margin=first - second,
        support=max(float(probabilities[likely.argmax()]) for probabilities in firsts),
    )
    prefilled = len(question) * (1 + len(ordered))
    return Trial(signals, tuple(ordered), merged, logits[-1], prefilled)
