"""Questions in HotpotQA's own format: a JSON array of objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentcrdt.errors import MalformedError


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph of Wikipedia."""

    title: str
    text: str
    is_supporting: bool
    """Whether a sentence of it is a supporting fact of the question."""


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its paragraphs, those that distract included."""

    example_id: str
    question: str
    answer: str
    kind: str
    """``bridge`` or ``comparison``."""
    paragraphs: tuple[Paragraph, ...]


def read_examples(path: Path) -> tuple[Example, ...]:
    """Return the questions of a file.

    Raises MalformedError, naming the question, for another format; test sets, whose answers are
    not public, are of another.
    """
    try:
        documents = json.loads(path.read_bytes())
    except ValueError as error:
        raise MalformedError(f"{path}: expected JSON: {error}") from error
    if not isinstance(documents, list):
        raise MalformedError(f"{path}: expected an array of questions, got {type(documents)}")
    return tuple(_example(d, f"{path}, question {i}") for i, d in enumerate(documents))


def _example(document: Any, where: str) -> Example:
    try:
        supporting = {str(title) for title, _sentence in document["supporting_facts"]}
        paragraphs = tuple(
            Paragraph(str(title), "".join(sentences).strip(), title in supporting)
            for title, sentences in document["context"]
        )
        return Example(
            example_id=str(document["_id"]),
            question=str(document["question"]),
            answer=str(document["answer"]),
            kind=str(document["type"]),
            paragraphs=paragraphs,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedError(
            f"{where}: expected a question in HotpotQA's format: {error!r}"
        ) from error
