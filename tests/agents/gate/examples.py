"""Examples of a made-up world, in which one signal tells and nine are noise."""

from __future__ import annotations

from random import Random

from latentcrdt.agents.gate import Example, Outcome, Signals

LATENT, REPAIRED, TEXT = Outcome.LATENT, Outcome.REPAIRED, Outcome.TEXT


def signals_of(random: Random, entropy: float) -> Signals:
    return Signals(
        num_fragments=random.randint(2, 4),
        num_rows=random.randint(20, 200),
        length_ratio=random.uniform(1, 3),
        key_gap=random.choice([0.0, random.uniform(0, 0.1)]),
        key_spread=random.uniform(0, 0.2),
        question_loss=random.uniform(1, 4),
        loss_gain=random.uniform(-1, 1),
        entropy=entropy,
        margin=random.uniform(0, 3),
        support=random.random(),
    )


def made_up(count: int, seed: int = 0) -> list[Example]:
    """Return examples whose merges are hurt with a probability that grows with the entropy."""
    random = Random(seed)
    examples = []
    for _ in range(count):
        entropy = random.uniform(0, 4)
        hurt = random.random() < (0.9 if entropy > 2.5 else 0.05)
        mended = not hurt or random.random() < 0.5
        examples.append(
            Example(
                signals_of(random, entropy),
                {LATENT: not hurt, REPAIRED: mended, TEXT: True},
                {LATENT: 30.0, REPAIRED: 45.0, TEXT: 100.0},
            )
        )
    return examples
