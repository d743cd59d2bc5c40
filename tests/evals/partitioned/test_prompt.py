from __future__ import annotations

import pytest

from latentcrdt.evals.partitioned import (
    COMPLETION,
    FAMILIES,
    PLAIN,
    Prompt,
    chat_prompt,
    questions,
    read_answer,
)
from latentcrdt.hf import load_smollm2


@pytest.fixture(scope="module")
def smollm2_tokenizer():
    return load_smollm2()[1]


def ids(tokenizer, text: str, *, begins: bool) -> list[int]:
    return tokenizer(text, add_special_tokens=begins)["input_ids"]


@pytest.mark.parametrize("style", ["plain", "completion", "chat"])
@pytest.mark.parametrize("family", FAMILIES)
def test_token_ids_of_the_pieces_joined_are_those_of_the_whole(smollm2_tokenizer, family, style):
    chat = chat_prompt(smollm2_tokenizer)
    prompt = {"plain": PLAIN, "completion": COMPLETION, "chat": chat}[style]
    for question in questions(family, num_shards=3, count=5, split="held-out"):
        pieces = [
            prompt.prefix,
            *(prompt.shard_text(shard) for shard in question.shards),
            prompt.question_text(question),
            prompt.answer_text(question.answer),
        ]
        joined = [i for piece in pieces for i in ids(smollm2_tokenizer, piece, begins=False)]
        whole = prompt.text(question) + prompt.answer_text(question.answer)
        assert joined == ids(smollm2_tokenizer, whole, begins=False)


def test_text_takes_the_shards_in_the_given_order():
    (question,) = questions("counting", num_shards=3, count=1, split="train")
    a, b, c = question.shards
    tail = f"Question: {question.question}\nAnswer:"
    assert PLAIN.text(question) == f"{a}\n{b}\n{c}\n{tail}"
    assert PLAIN.text(question, [2, 0, 1]) == f"{c}\n{a}\n{b}\n{tail}"


def test_a_chat_prompt_is_the_template_of_the_model(smollm2_tokenizer):
    prompt = chat_prompt(smollm2_tokenizer)
    (question,) = questions("two-hop", num_shards=2, count=1, split="train")
    content = prompt.text(question).split("<|im_start|>user\n")[1].split("<|im_end|>")[0]
    expected = smollm2_tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    assert prompt.text(question) == expected
    assert question.shards[0] in content
    assert question.question in content


class BracesAndBos:
    """A tokenizer that adds a BOS, with a template that writes it too, and braces."""

    bos_token = "<s>"
    bos_token_id = 1

    def __call__(self, text):
        assert text == ""
        return {"input_ids": [1]}

    def apply_chat_template(self, messages, **_):
        return "<s>{sys}" + messages[0]["content"] + "{assistant}"


def test_a_chat_prompt_leaves_out_the_bos_and_keeps_braces():
    (question,) = questions("two-hop", num_shards=2, count=1, split="train")
    text = chat_prompt(BracesAndBos()).text(question)
    assert text.startswith("{sys}Read")
    assert text.endswith(")" + "{assistant}")


@pytest.mark.parametrize(
    ("generated", "answer"),
    [
        (" Anna", "Anna"),
        ("The answer is BEN.", "Ben"),
        ("Benjamin, or Anna?", "Anna"),
        ("nobody", None),
        ("", None),
    ],
)
def test_the_first_admissible_word_is_the_answer(generated, answer):
    assert read_answer(generated, ("Anna", "Ben")) == answer


def test_a_prompt_can_be_made_by_anyone():
    prompt = Prompt("mine", "Facts: ", "{shard} ", "{question} One of {choices}:", " {answer}")
    (question,) = questions("comparison", num_shards=2, count=1, split="train")
    a, b = question.choices
    assert prompt.question_text(question) == f"{question.question} One of {a} or {b}:"
