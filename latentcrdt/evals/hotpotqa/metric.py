"""The official answer metric of HotpotQA: exact match and F1 of normalised words.

As in hotpot_evaluate_v1.py of the dataset's authors, which took the normalisation from SQuAD.
"""

from __future__ import annotations

import re
import string
from collections import Counter

CLOSED = ("yes", "no", "noanswer")
"""Answers that are right as a whole or not at all: F1 gives nothing for a part of them."""


def normalise(text: str) -> str:
    """Return the text in lower case, without punctuation and articles, words one space apart."""
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(answer: str, expected: str) -> bool:
    """Return whether the two are the same once normalised."""
    return normalise(answer) == normalise(expected)


def f1_score(answer: str, expected: str) -> float:
    """Return the harmonic mean of precision and recall of the words, each as often as it occurs."""
    got, wanted = normalise(answer), normalise(expected)
    if got != wanted and (got in CLOSED or wanted in CLOSED):
        return 0.0
    got_words, wanted_words = got.split(), wanted.split()
    shared = (Counter(got_words) & Counter(wanted_words)).total()
    if shared == 0:
        return 0.0
    precision, recall = shared / len(got_words), shared / len(wanted_words)
    return 2 * precision * recall / (precision + recall)
