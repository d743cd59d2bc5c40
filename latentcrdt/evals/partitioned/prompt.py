"""How shards, question and answer are laid out as text. The only place that says so.

A prompt is pieces, because agents read shards apart from each other; joined, the pieces are what a
single agent reads. Pieces meet at line ends or spaces, where tokenizers separate: the token ids of
the pieces, joined, are the token ids of the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from latentcrdt.evals.partitioned.question import Question
from latentcrdt.evals.partitioned.words import listed


@dataclass(frozen=True, slots=True)
class Prompt:
    """One layout: templates with ``{shard}``, ``{question}``, ``{choices}`` and ``{answer}``."""

    name: str
    prefix: str
    """Plain text before all shards, which may be captured once for all of them; "" for none."""
    shard: str
    question: str
    """From behind the last shard to where the answer starts."""
    answer: str
    """What a right answer goes on with."""

    def shard_text(self, shard: str) -> str:
        """Return what an agent that holds this shard reads, behind the prefix if there is one."""
        return self.shard.format(shard=shard)

    def question_text(self, question: Question) -> str:
        """Return what the final agent reads behind the shards."""
        choices = listed(sorted(question.choices))
        return self.question.format(question=question.question, choices=choices)

    def answer_text(self, word: str) -> str:
        """Return an answer as it would follow the question's text."""
        return self.answer.format(answer=word)

    def text(self, question: Question, order: Iterable[int] | None = None) -> str:
        """Return what a single agent reads: everything, with the shards in the given order."""
        indices = range(len(question.shards)) if order is None else order
        shards = "".join(self.shard_text(question.shards[i]) for i in indices)
        return self.prefix + shards + self.question_text(question)


PLAIN = Prompt(
    name="plain",
    prefix="",
    shard="{shard}\n",
    question="Question: {question}\nAnswer:",
    answer=" {answer}",
)
"""What the reference model was trained on."""

INSTRUCTION = "Read these facts. Then answer the question with one word."

COMPLETION = Prompt(
    name="completion",
    prefix=f"{INSTRUCTION}\n",
    shard="{shard}\n",
    question="Question: {question} ({choices})\nAnswer:",
    answer=" {answer}",
)
"""For a base model, or one whose chat template is not wanted."""


def chat_prompt(tokenizer: Any) -> Prompt:
    """Return the layout of a tokenizer's own chat template, for an instruct model.

    The facts and the question are one message of the user; a model that can think aloud is told not
    to. The template's BOS is left out where the tokenizer itself begins a sequence with one.
    """
    mark = "@@SHARDS@@"
    content = f"{INSTRUCTION}\n{mark}Question: @@QUESTION@@ (@@CHOICES@@)"
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=False,
    )
    if tokenizer("")["input_ids"] == [tokenizer.bos_token_id]:
        text = text.removeprefix(tokenizer.bos_token)
    before, after = text.split(mark)
    escaped = after.replace("{", "{{").replace("}", "}}")
    question = escaped.replace("@@QUESTION@@", "{question}").replace("@@CHOICES@@", "{choices}")
    return Prompt("chat", before, "{shard}\n", question, "{answer}")


def read_answer(generated: str, choices: Sequence[str]) -> str | None:
    """Return the first admissible word of what a model wrote, in any case; None for none."""
    admissible = {choice.lower(): choice for choice in choices}
    words = re.findall(r"\w+", generated.lower())
    return next((admissible[word] for word in words if word in admissible), None)
