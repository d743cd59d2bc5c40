"""Write the tables of docs/partitioned.md: `python -m scripts.make_partitioned_page`.

The accuracies are measured anew, on the shipped weights, which takes a few minutes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from latentcrdt.evals.partitioned import FAMILIES, NUM_SHARDS, questions
from latentcrdt.evals.reference import CHECKPOINTS, checkpoint_path, load_reference_model
from latentcrdt.evals.reference.accuracy import num_right
from scripts.marked_section import markdown, replace_section

PAGE = Path(__file__).parents[1] / "docs" / "partitioned.md"


def examples() -> str:
    """Return one held-out question of each family, over two shards."""
    rows = []
    for family in FAMILIES:
        (example,) = questions(family, num_shards=2, count=1, split="held-out")
        shards = "<br>".join(f"{i}: {shard}" for i, shard in enumerate(example.shards, 1))
        rows.append([f"`{family}`", f"{shards}<br>**{example.question}** {example.answer}"])
    return markdown(["family", "shards, question and answer"], rows).replace("---:", "---")


def training() -> str:
    """Return how the accuracy on 100 held-out questions of each family grew (k = 2)."""
    log = json.loads((checkpoint_path().parent / "training-log.json").read_text())
    rows = [
        [
            str(entry["step"]),
            f"{entry['seconds'] / 60:.0f}",
            f"{entry['told_loss']:.3f}",
            *(f"{entry['accuracy'][family]:.0%}" for family in FAMILIES),
        ]
        for entry in log["log"]
    ]
    return markdown(["step", "minutes", "loss of told words", *FAMILIES], rows)


def accuracies(count: int) -> str:
    """Return the accuracy of each checkpoint on held-out questions, read as plain text."""
    rows = []
    for checkpoint in CHECKPOINTS:
        model, tokenizer = load_reference_model(checkpoint)
        for k in NUM_SHARDS:
            right = [
                num_right(
                    model,
                    tokenizer,
                    questions(family, num_shards=k, count=count, split="held-out"),
                )
                for family in FAMILIES
            ]
            rows.append([checkpoint, str(k), *(f"{n / count:.1%}" for n in right)])
    return markdown(["checkpoint", "k", *FAMILIES], rows)


def main() -> None:
    """Write the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=500, help="of each family and k")
    count = parser.parse_args().questions
    replace_section(PAGE, "examples", examples())
    replace_section(PAGE, "training", training())
    replace_section(PAGE, "accuracies", accuracies(count))


if __name__ == "__main__":
    main()
