"""Two researchers and a writer: `python -m scripts.examples.researchers [URL]`.

Each researcher reads its own source and pushes what that left in its cache. They do not wait for
each other, and nobody decides who comes first. The writer reads neither source: it decodes from
the render of whatever has arrived. In life these are three processes; all they share is the name.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from latentcrdt import Client
from latentcrdt.hf import capture, generate, load_smollm2

STATE = "report-on-the-lighthouse"

INSTRUCTIONS = "<|im_start|>user\nThese are notes about a lighthouse.\n"
"""Read by all, stored once: fragments behind it hold their own source alone."""

SOURCES = {
    "historian": "The lighthouse was built in 1841 by the harbour company of Port Ellis.\n",
    "engineer": "The lamp of the lighthouse is powered by solar panels and a battery.\n",
}

REQUEST = (
    "Write a sentence that says when the lighthouse was built and what powers its lamp.<|im_end|>\n"
    "<|im_start|>assistant\n"
)


def research(
    client: Client, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, source: str
) -> None:
    """Read one source and hand over the cache."""
    prefix = capture(model, tokenizer, INSTRUCTIONS)
    client.push(STATE, prefix)  # the same bytes from both: the second push sends nothing
    client.push(STATE, capture(model, tokenizer, source, prefix=prefix))


def write(client: Client, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the report, from the one render that every order of arrival leads to."""
    render = client.render(STATE)
    return generate(model, tokenizer, render, REQUEST, max_new_tokens=40, do_sample=False)


def main(url: str) -> str:
    """Run all three against the server at ``url``."""
    model, tokenizer = load_smollm2()
    with Client(url) as client, ThreadPoolExecutor() as researchers:
        for done in [
            researchers.submit(research, client, model, tokenizer, source)
            for source in SOURCES.values()
        ]:
            done.result()
        return write(client, model, tokenizer)


if __name__ == "__main__":
    print(main(*sys.argv[1:] or ["http://127.0.0.1:8000"]))
