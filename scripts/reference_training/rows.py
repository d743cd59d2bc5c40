"""Training text: rows of a context and much that can be said about it.

Behind the context stand, in a drawn order, questions with their answers, and facts once more. A
fact said again trains what every family needs first, finding the sentence of a name, at a fraction
of the tokens of a question. Facts of the family `constraint` are not said again: several boxes
could come next.
"""

from __future__ import annotations

import re

from latentcrdt.evals.partitioned import PLAIN, Ask, Context, contexts
from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.evals.reference.tokenizer import BOS, EOS, POOLS, words_of
from scripts.reference_training.routes import BIND, FIRST, ROUTES, Asked, Step

POOLED = frozenset(word for pool in POOLS for word in pool)
ASKS = 3
"""Questions behind one context."""
FACTS_AGAIN = 3


class Row:
    """Words, which of them are told by what stands before them, and guidance to those."""

    def __init__(self, family: str) -> None:
        self.words: list[str] = []
        self.told: list[bool] = []
        self.steps: list[Step] = []
        self._route = ROUTES[family]
        self._objects: dict[tuple[str, str], tuple[int, ...]] = {}

    def say(self, words: list[str], *, told: int | None = None) -> int:
        """Append words; the one at the index ``told`` is told. Return where they begin."""
        begin = len(self.words)
        self.told += [i == told for i in range(len(words))]
        self.words += words
        return begin

    def state(self, fact: str, *, again: bool = False) -> None:
        """Append a fact; when it stood before, its object is told."""
        words = words_of(fact)
        subject, obj = mentions_of(words)
        begin = self.say(words, told=obj if again else None)
        key = (words[subject], words[obj])
        self.steps.append(Step(BIND, 0, begin + obj, (begin + subject,)))
        if again:  # the word before the object is where the object is predicted
            before = begin + obj - 1
            self.steps.append(Step(BIND, 0, before, (begin + subject,)))
            self.steps.append(Step(FIRST, 0, before, self._objects[key]))
        self._objects[key] = (*self._objects.get(key, ()), begin + obj)

    def ask(self, ask: Ask) -> None:
        """Append a question and its answer."""
        words = words_of(PLAIN.question.format(question=ask.question))
        begin = self.say(words)
        mentions = tuple((words[i], begin + i) for i in mentions_of(words))
        end = begin + len(words) - 1
        self.steps += self._route(Asked(mentions, end, ask.answer, self._objects))
        self.say([*words_of(PLAIN.answer_text(ask.answer)), EOS], told=0)


def mentions_of(words: list[str]) -> list[int]:
    """Return the indices of the words that stand in a pool."""
    return [i for i, word in enumerate(words) if word in POOLED]


def facts_of(context: Context) -> list[str]:
    """Return the sentences of all shards."""
    return [fact for shard in context.shards for fact in re.findall(r"[^.]+\.", shard)]


def make_row(family: str, num_shards: int, seed: int) -> Row:
    """Return the row of a seed, from the train split."""
    context = next(contexts(family, num_shards=num_shards, split="train", seed=seed))
    draws = Draws.named("row", family, num_shards, seed)
    row = Row(family)
    row.say([BOS])
    facts = facts_of(context)
    for fact in facts:
        row.state(fact)
    items: list[Ask | str] = [*draws.sample(context.asks, ASKS)]
    if family != "constraint":
        items += [draws.one_of(facts) for _ in range(FACTS_AGAIN)]
    for item in draws.shuffled(items):
        if isinstance(item, Ask):
            row.ask(item)
        else:
            row.state(item, again=True)
    return row
