"""What the agents of the demo know, and what the last one is asked."""

from __future__ import annotations

INSTRUCTIONS = (
    "<|im_start|>system\nYou answer questions from the notes you are given.<|im_end|>\n"
    "<|im_start|>user\nNotes:\n"
)
"""Captured once, as the prefix of both agents: it is stored and rendered once."""

FACTS = {
    "A": "- Mira keeps the telescope in the red barn behind the lighthouse.\n",
    "B": "- The red barn is opened with the brass key that hangs in the kitchen.\n",
}
"""One note for each agent; neither sees the other's."""

QUESTION = (
    "Question: Where is the telescope, and what opens the door?<|im_end|>\n<|im_start|>assistant\n"
)

MAX_NEW_TOKENS = 40
"""Enough for two sentences, and a few seconds on two cores."""
