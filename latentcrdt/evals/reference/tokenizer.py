"""A tokenizer of whole words: every word that the benchmark's plain prompts are made of."""

from __future__ import annotations

import re
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from latentcrdt.evals.partitioned import FAMILIES, NUM_SHARDS, contexts, words

UNKNOWN, BOS, EOS, PADDING = SPECIAL_TOKENS = ("<unk>", "<s>", "</s>", "<pad>")
BOS_ID, EOS_ID, PADDING_ID = 1, 2, 3

POOLS = (
    words.NAMES,
    words.CITIES,
    words.COLOURS,
    words.PLACES,
    words.HANDS,
    words.ANIMALS,
    words.OBJECTS,
    words.NUMBERS,
)


def vocabulary() -> dict[str, int]:
    """Return each word's id: special tokens, the words around facts, then the pools of words."""
    pooled = [word for pool in POOLS for word in pool]
    around = set(words_of("."))
    for family in FAMILIES:
        for num_shards in NUM_SHARDS:
            context = next(contexts(family, num_shards=num_shards, split="train"))
            texts = (*context.shards, *(ask.question for ask in context.asks))
            around.update(word for text in texts for word in words_of(text))
    ordered = (*SPECIAL_TOKENS, *sorted(around - set(pooled)), *pooled)
    return {word: i for i, word in enumerate(ordered)}


def words_of(text: str) -> list[str]:
    """Split as the tokenizer does: words, and single marks of punctuation."""
    return re.findall(r"\w+|[^\w\s]", text)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer; a sequence begins with BOS, an answer ends with EOS."""
    tokenizer = Tokenizer(models.WordLevel(vocabulary(), unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(behavior="isolated")]
    )
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, BOS_ID)]
    )
    untyped: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerFast = untyped(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PADDING,
    )
    return made
