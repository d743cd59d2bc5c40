"""HotpotQA: its metric against an independent implementation, its format, and who reads what."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latentcrdt.errors import InvalidRequestError, MalformedError
from latentcrdt.evals.hotpotqa import HotpotQA, exact_match, f1_score, read_examples
from latentcrdt.evals.hotpotqa.metric import normalise
from latentcrdt.evals.hotpotqa.prompt import COMPLETION, chat_prompt
from tests.hf.tiny_tokenizer import make_tokenizer

FILE = Path(__file__).parent / "hotpotqa_tiny.json"

WORDS = """the a an yes no noanswer The YES cat. Cat, 1,000 1000 theory an's don't dont - ! é"""
texts = st.lists(st.sampled_from(WORDS.split()), max_size=6).map(" ".join) | st.text(max_size=12)


def other_normalise(text: str) -> list[str]:
    """Return the words that count, by another way than the metric's: letter by letter."""
    words, word = [], ""
    for character in f"{text.lower()} ":
        if character in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~":
            continue
        if character.isspace():
            words += [word] if word else []
            word = ""
        else:
            word += character
    # An article counts as one where no letter, digit or underscore stands beside it.
    return " ".join(re.split(r"(?<!\w)(?:an?|the)(?!\w)", " ".join(words))).split()


def other_f1(answer: str, expected: str) -> Fraction:
    """Return twice the shared words over all words; by pairing words off, one by one."""
    got, wanted = other_normalise(answer), other_normalise(expected)
    closed = (["yes"], ["no"], ["noanswer"])
    if got != wanted and (got in closed or wanted in closed):
        return Fraction(0)
    left = list(wanted)
    shared = 0
    for word in got:
        if word in left:
            left.remove(word)
            shared += 1
    return Fraction(2 * shared, len(got) + len(wanted)) if shared else Fraction(0)


@given(texts, texts)
@example("The cat", "cat")
@example("yes", "yes it is")
def test_the_metric_is_that_of_an_independent_implementation(answer, expected):
    assert normalise(answer).split() == other_normalise(answer)
    assert exact_match(answer, expected) == (other_normalise(answer) == other_normalise(expected))
    assert f1_score(answer, expected) == pytest.approx(float(other_f1(answer, expected)))


@pytest.mark.parametrize(
    ("answer", "expected", "em", "f1"),
    [
        ("The Cat!", "cat", True, 1.0),
        ("Chief of Protocol of the United States", "Chief of Protocol", False, 2 / 3),
        ("yes", "yes", True, 1.0),
        ("yes, they are", "yes", False, 0.0),  # nothing for a part of yes
        ("no", "yes", False, 0.0),
        ("no answer", "noanswer", False, 0.0),
        ("1969 until 1974", "from 1969 to 1974", False, 4 / 7),
        ("", "cat", False, 0.0),
        ("the", "a", True, 0.0),  # as the official script has it: no word is shared
    ],
)
def test_known_pairs(answer, expected, em, f1):
    assert exact_match(answer, expected) is em
    assert f1_score(answer, expected) == pytest.approx(f1)


@given(texts, texts)
def test_f1_does_not_mind_which_text_is_the_answer(first, second):
    assert f1_score(first, second) == pytest.approx(f1_score(second, first))
    assert 0 <= f1_score(first, second) <= 1


def test_a_file_in_its_own_format_is_read():
    examples = read_examples(FILE)
    assert [e.kind for e in examples] == ["bridge", "comparison", "bridge"]
    first = examples[0]
    assert [p.title for p in first.paragraphs if p.is_supporting] == ["Lantern Works", "Anna Vik"]
    assert first.paragraphs[2].text == "Anna Vik was born in 1950. She lives in Norway."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("{}", "expected an array"),
        ("[[]]", "question 0: expected a question"),
        ('[{"_id": "x", "question": "?", "context": []}]', "question 0: .*supporting_facts"),
    ],
)
def test_another_format_is_refused_and_says_where(tmp_path, content, message):
    (tmp_path / "file.json").write_text(content)
    with pytest.raises(MalformedError, match=message):
        read_examples(tmp_path / "file.json")


def test_bridge_questions_alone_are_asked_and_each_agent_reads_one_paragraph():
    items = HotpotQA(FILE, COMPLETION).items(2)
    assert [item.item_id for item in items] == ["made-up-1", "made-up-3"]
    assert items[0].task.contexts == (
        "Lantern Works: Lantern Works was founded by Anna Vik. It makes lamps.\n",
        "Anna Vik: Anna Vik was born in 1950. She lives in Norway.\n",
    )
    assert items[0].task.question == f"Question: {read_examples(FILE)[0].question}\nAnswer:"


def test_distractors_are_dealt_behind_the_supporting_paragraphs():
    first = HotpotQA(FILE, COMPLETION, max_questions=1, distractors=2).items(2)[0]
    assert [context.count("\n") for context in first.task.contexts] == [2, 2]
    assert "Blue Hill" in first.task.contexts[0]
    assert "Anna Berg" in first.task.contexts[1]


def test_an_agent_with_nothing_to_read_is_refused():
    with pytest.raises(InvalidRequestError, match="made-up-1: expected a paragraph for each of 3"):
        HotpotQA(FILE, COMPLETION).items(3)
    assert len(HotpotQA(FILE, COMPLETION, max_questions=1, distractors=1).items(3)) == 1


@pytest.mark.parametrize(
    ("text", "em"),
    [(" Norway", 1), (" Norway.\nQuestion: more", 1), ("Answer: norway", 1), ("In Norway", 0)],
)
def test_the_first_line_is_the_answer(text, em):
    item = HotpotQA(FILE, COMPLETION).items(2)[0]
    assert item.judge(text)["em"] == em


def test_the_pieces_of_a_chat_template_are_the_whole_message():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}"
    )
    prompt = chat_prompt(tokenizer)
    task = HotpotQA(FILE, prompt).items(2)[0].task
    text = task.preamble + "".join(task.contexts) + task.question
    content = text.removeprefix("[user] ").removesuffix("\n[assistant] ")
    whole = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    assert whole == tokenizer.bos_token + text


def test_settings_name_the_content_of_the_file(tmp_path):
    copy = tmp_path / FILE.name
    copy.write_text(json.dumps(json.loads(FILE.read_text())))
    there, here = HotpotQA(copy, COMPLETION).settings(), HotpotQA(FILE, COMPLETION).settings()
    assert there["file_sha256"] != here["file_sha256"]
    assert there["file"] == here["file"]
