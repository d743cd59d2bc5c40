"""Partitioned reasoning: questions whose facts are spread over the texts of several agents."""

from latentcrdt.evals.partitioned.families import FAMILIES, NUM_SHARDS, Family
from latentcrdt.evals.partitioned.generator import contexts, questions, split_of
from latentcrdt.evals.partitioned.prompt import (
    COMPLETION,
    PLAIN,
    Prompt,
    chat_prompt,
    read_answer,
)
from latentcrdt.evals.partitioned.question import Ask, Context, Question

__all__ = [
    "COMPLETION",
    "FAMILIES",
    "NUM_SHARDS",
    "PLAIN",
    "Ask",
    "Context",
    "Family",
    "Prompt",
    "Question",
    "chat_prompt",
    "contexts",
    "questions",
    "read_answer",
    "split_of",
]
