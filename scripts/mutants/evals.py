"""Bugs in the benchmarks and in what the reference model is trained on."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "the loser of a comparison wins",
        "latentcrdt/evals/partitioned/comparison.py",
        "winner = a if hands[a]",
        "winner = b if hands[a]",
        "tests/evals/partitioned/test_questions.py",
    ),
    Mutant(
        "a distractor shard has the cities of a needed one",
        "latentcrdt/evals/partitioned/lookup.py",
        "homes.append(draws.shuffled(homes[0]))",
        "homes[1:] = [draws.shuffled(homes[0]) for _ in range(num_shards - 1)]",
        "tests/evals/partitioned",
    ),
    Mutant(
        "two people of one shard are compared",
        "latentcrdt/evals/partitioned/comparison.py",
        "if i // size == j // size or hands[i] == hands[j]:",
        "if hands[i] == hands[j]:",
        "tests/evals/partitioned/test_needed_shards.py",
    ),
    Mutant(
        "a shard rules out two boxes of an object",
        "latentcrdt/evals/partitioned/constraint.py",
        '[f"The {t} is not in the {left[t][i]} box." for t in draws.shuffled(things)]',
        '[f"The {things[0]} is not in the {b} box." for b in left[things[0]][i : i + 3]]',
        "tests/evals/partitioned",
    ),
    Mutant(
        "the split depends on the order of shards",
        "latentcrdt/evals/partitioned/generator.py",
        '"\\n".join(sorted(shards))',
        '"\\n".join(shards)',
        "tests/evals/partitioned/test_questions.py",
    ),
    Mutant(
        "training sees held-out contexts",
        "scripts/reference_training/rows.py",
        'split="train"',
        'split="held-out"',
        "tests/evals/reference/test_training.py",
    ),
    Mutant(
        "a resumed run starts its optimizers afresh",
        "scripts/reference_training/checkpoint.py",
        '        optimizer.load_state_dict({"state": state, "param_groups": groups})\n',
        "        pass\n",
        "tests/evals/reference/test_training.py",
    ),
    Mutant(
        "accuracy is read one word before the end",
        "latentcrdt/evals/reference/accuracy.py",
        'inputs["attention_mask"].sum(1) - 1',
        'inputs["attention_mask"].sum(1) - 2',
        "tests/evals/reference/test_reference_model.py",
    ),
)
