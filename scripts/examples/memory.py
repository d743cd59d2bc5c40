"""A memory block, loaded into a running conversation: `python -m scripts.examples.memory [URL]`.

Another agent read the memory long ago and pushed it. The conversation is under way; its cache, as
it is, becomes a fragment too. A render in a chosen order puts the memory behind what was said so
far, turned to the positions that come next, and the conversation goes on from there. Neither the
conversation nor the memory is read again.
"""

from __future__ import annotations

import sys

from transformers import PreTrainedTokenizerBase

from latentcrdt import Client, RenderQuery
from latentcrdt.core.ids import FragmentId
from latentcrdt.hf import Continuation, capture, fragment_from_cache, load_smollm2, stop_ids_of

MEMORY = (
    "<|im_start|>user\nFor your memory: my name is Nadia, and my dog is called Biscuit.<|im_end|>\n"
    "<|im_start|>assistant\nI will remember that.<|im_end|>\n"
)

TURN = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
END_OF_TURN = "<|im_end|>\n"

MAX_NEW_TOKENS = 32


def say(conversation: Continuation, tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """Return the model's answer to a turn; both stay in the conversation's cache."""
    stop_ids, answer = stop_ids_of(conversation.model), []
    logits = conversation.feed(tokenizer(TURN.format(text))["input_ids"])[-1]
    while (token_id := int(logits.argmax())) not in stop_ids and len(answer) < MAX_NEW_TOKENS:
        answer.append(token_id)
        logits = conversation.feed([token_id])[-1]
    conversation.feed(tokenizer(END_OF_TURN)["input_ids"])
    return str(tokenizer.decode(answer))


def load_memory(client: Client, conversation: Continuation, memory: FragmentId) -> Continuation:
    """Return the conversation as it goes on with a memory that the server holds."""
    so_far = fragment_from_cache(
        conversation.cache, conversation.model, start=0, seq_len=conversation.num_tokens
    )
    client.push("conversation", so_far)
    client.insert("conversation", memory)  # a member from now on; no byte of it was sent
    order = RenderQuery(order=(so_far.fragment_id, memory))
    return Continuation.of_render(client.render("conversation", order), conversation.model)


def main(url: str) -> list[str]:
    """Return what was answered before and after the memory was loaded."""
    model, tokenizer = load_smollm2()
    with Client(url) as client:
        memory = client.push("memories", capture(model, tokenizer, MEMORY)).fragment_id
        conversation = Continuation.from_nothing(model)
        before = say(conversation, tokenizer, "Hello! What is the capital of France?")
        conversation = load_memory(client, conversation, memory)
        return [before, say(conversation, tokenizer, "What is the name of my dog?")]


if __name__ == "__main__":
    print(*main(*sys.argv[1:] or ["http://127.0.0.1:8000"]), sep="\n")
