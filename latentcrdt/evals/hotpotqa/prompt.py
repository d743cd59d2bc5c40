"""How paragraphs, question and answer are laid out as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from latentcrdt.evals.hotpotqa.examples import Paragraph

INSTRUCTION = "Read these paragraphs. Then answer the question with a few words and nothing else."


@dataclass(frozen=True, slots=True)
class Prompt:
    """One layout, in pieces that meet at line ends."""

    name: str
    preamble: str
    """Before all paragraphs."""
    before_question: str
    after_question: str
    """Up to where the answer starts."""

    def paragraph(self, paragraph: Paragraph) -> str:
        """Return what an agent reads of one paragraph."""
        return f"{paragraph.title}: {paragraph.text}\n"

    def question(self, question: str) -> str:
        """Return what the final agent reads behind the paragraphs."""
        return f"{self.before_question}{question}{self.after_question}"

    def read_answer(self, generated: str) -> str:
        """Return the answer in what a model wrote: its first line, without a leading label."""
        first = generated.strip().partition("\n")[0].strip()
        return first.removeprefix("Answer:").strip()


COMPLETION = Prompt("completion", f"{INSTRUCTION}\n", "Question: ", "\nAnswer:")
"""For a base model, or one whose chat template is not wanted."""


def prompt_for(tokenizer: Any) -> Prompt:
    """Return the layout for a model: its chat template, where it has one."""
    return chat_prompt(tokenizer) if tokenizer.chat_template else COMPLETION


def chat_prompt(tokenizer: Any) -> Prompt:
    """Return the layout of a tokenizer's own chat template, for an instruct model.

    A model that can think aloud is told not to. The template's BOS, if any, is left out: it is
    added when a sequence is tokenised.
    """
    paragraphs, question = "@@PARAGRAPHS@@", "@@QUESTION@@"
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": f"{INSTRUCTION}\n{paragraphs}Question: {question}"}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=False,
    )
    before, rest = text.removeprefix(tokenizer.bos_token or "").split(paragraphs)
    before_question, after_question = rest.split(question)
    return Prompt("chat", before, before_question, after_question)
