"""PackLLM's weights by another way: log-softmax by hand, and a search written out."""

import math
from dataclasses import replace

import pytest
import torch

from latentcrdt.agents.methods.packllm import (
    optimal_weights,
    packllm_opt,
    packllm_sim,
    question_loss,
    similarity_weights,
)
from latentcrdt.errors import InvalidRequestError
from tests.agents.crew import TASK, make_team

QUESTION = [3, 1, 4, 1, 5]


def random_logits(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [3 * torch.randn(5, 7, dtype=torch.float64, generator=generator) for _ in range(count)]


def loss_by_hand(logits):
    total = 0.0
    for row, token_id in zip(logits.tolist(), QUESTION[1:], strict=False):
        total -= row[token_id] - math.log(sum(math.exp(x) for x in row))
    return total / 4


def test_the_loss_is_the_mean_over_the_tokens_that_were_predicted():
    (logits,) = random_logits(1)
    assert question_loss(logits, QUESTION) == pytest.approx(loss_by_hand(logits))


def test_sim_is_the_softmax_of_minus_the_losses():
    logits = random_logits(3)
    likely = [math.exp(-loss_by_hand(copy)) for copy in logits]
    expected = [x / sum(likely) for x in likely]
    assert similarity_weights(logits, QUESTION) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_opt_mixes_each_next_copy_in_where_it_helps(seed):
    logits = random_logits(3, seed)
    first, second, third = sorted(logits, key=loss_by_hand)
    grid = [i * 0.05 for i in range(21)]
    a = min(grid, key=lambda w: loss_by_hand(w * first + (1 - w) * second))
    both = a * first + (1 - a) * second
    b = min(grid, key=lambda w: loss_by_hand(w * both + (1 - w) * third))
    expected = b * both + (1 - b) * third
    weights = optimal_weights(logits, QUESTION)
    assert sum(weights) == pytest.approx(1)
    mixture = sum(w * copy for w, copy in zip(weights, logits, strict=True))
    torch.testing.assert_close(mixture, expected)
    assert loss_by_hand(mixture) <= min(map(loss_by_hand, logits)) + 1e-12


def test_a_copy_that_expects_the_question_alone_counts_for_nearly_all():
    sure = torch.zeros(5, 7, dtype=torch.float64)
    for row, token_id in enumerate(QUESTION[1:]):
        sure[row, token_id] = 8.0
    unsure = -sure
    assert similarity_weights([unsure, sure], QUESTION)[1] > 0.99
    assert optimal_weights([unsure, sure], QUESTION) == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize("make", [packllm_sim, packllm_opt])
def test_an_answer_is_the_greedy_one_of_full_prefills_mixed(make):
    team = make_team()
    answer = make(team).answer(TASK)
    texts = [TASK.contexts[i] for i in answer.facts["order"]]
    sequences = [team.token_ids([TASK.preamble, text, TASK.question]) for text in texts]
    weights = answer.facts["weights"]
    spelled = []
    for _ in range(TASK.max_new_tokens):
        with torch.no_grad():
            rows = [team.model(torch.tensor([ids])).logits[0, -1] for ids in sequences]
        token_id = int(sum(w * row for w, row in zip(weights, rows, strict=True)).argmax())
        spelled.append(token_id)
        for ids in sequences:
            ids.append(token_id)
    assert answer.text == team.tokenizer.decode(spelled, skip_special_tokens=True)
    questions = [ids[: -len(spelled)] for ids in sequences]
    for ids, loss in zip(questions, answer.facts["losses"], strict=True):
        count = len(team.question_ids(TASK))
        with torch.no_grad():
            logits = team.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        picked = [float(logits[i - 1, ids[i]]) for i in range(len(ids) - count + 1, len(ids))]
        assert loss == pytest.approx(-sum(picked) / len(picked), rel=1e-5)


def test_a_question_of_one_token_is_refused():
    with pytest.raises(InvalidRequestError, match="at least two tokens"):
        packllm_sim(make_team()).answer(replace(TASK, question="?"))
