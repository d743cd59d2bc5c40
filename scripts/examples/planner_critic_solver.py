"""Planner, two critics, solver: `python -m scripts.examples.planner_critic_solver [URL]`.

A chain with a fork in it. The planner reads the problem and goes on for some latent steps instead
of writing its plan down. Both critics are captured behind the plan, each apart from the other. The
solver decodes from all of it: problem, plan, and the critics side by side in canonical order.
"""

from __future__ import annotations

import sys

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt import Client, Fragment
from latentcrdt.agents.think import think
from latentcrdt.hf import capture, generate, load_smollm2

STATE = "picnic"

PROBLEM = (
    "<|im_start|>user\nWe want to have a picnic on Sunday. The park is ten miles away, and it will "
    "rain from two o'clock on.\n"
)

PLAN = "A good plan is: "

CRITICS = {
    "weather": "A critic says: we must be home before two o'clock, or we get wet.\n",
    "transport": "A critic says: nobody has a car, so we have to take the bus.\n",
}

SOLUTION = "In one sentence, when and how do we travel?<|im_end|>\n<|im_start|>assistant\n"

NUM_STEPS = 8
"""Latent steps of the planner."""


def plan(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[Fragment]:
    """Return the problem, and behind it the plan: its rows hold thought that was never text."""
    problem = capture(model, tokenizer, PROBLEM)
    return [problem, think(model, tokenizer, PLAN, num_steps=NUM_STEPS, prefix=problem)]


def main(url: str) -> str:
    """Run all four against the server at ``url``."""
    model, tokenizer = load_smollm2()
    with Client(url) as client:
        chain = plan(model, tokenizer)
        for fragment in chain:
            client.push(STATE, fragment)
        for remark in CRITICS.values():
            # A critic elsewhere needs the ids alone: fetched fragments were verified.
            fetched = [client.fetch(fragment.fragment_id) for fragment in chain]
            client.push(STATE, capture(model, tokenizer, remark, prefix=fetched))
        render = client.render(STATE)  # what others were captured behind comes first, once
    return generate(model, tokenizer, render, SOLUTION, max_new_tokens=40, do_sample=False)


if __name__ == "__main__":
    print(main(*sys.argv[1:] or ["http://127.0.0.1:8000"]))
