"""A tiny team and a task for it."""

from __future__ import annotations

from typing import Any

from latentcrdt.agents.method import Task
from latentcrdt.agents.regime import Regime, Rows
from latentcrdt.agents.team import Team
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer

TASK = Task(
    contexts=("Ann has a red kite. ", "Bob keeps two bees. ", "Cleo sold the barn. "),
    question="Who has a kite?",
    preamble="Notes: ",
    max_new_tokens=5,
)

REGIMES = [
    Regime(),
    Regime(num_steps=2),
    Regime(rows=Rows.LATENT, num_steps=2, shared_prefix=True),
    Regime(question_visible=True, shared_prefix=True, num_steps=1),
]


def make_team(regime: Regime | None = None, **changes: Any) -> Team:
    model = make_model("llama", tie_word_embeddings=False, eos_token_id=None, **changes)
    model.generation_config.eos_token_id = None
    return Team(model, make_tokenizer(), regime or Regime())
