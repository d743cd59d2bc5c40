"""Train the reference model of the benchmark from nothing, on plain text of the train split.

    python -m scripts.train_reference_model --work DIR

The state is saved in DIR every few minutes; the same command goes on from there. At the end the
weights, the tokenizer, the log and an early checkpoint are written to latentcrdt/evals/reference/.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from latentcrdt.evals.partitioned import NUM_SHARDS
from scripts.reference_training.run import Run, Settings

TARGET = Path(__file__).parent.parent / "latentcrdt" / "evals" / "reference"
EARLY = 0.6
"""The part of the run after which the early checkpoint is taken."""
MEASURED = 100
"""Questions of each family for the log; at the end `--questions`, for every number of shards."""


def train(work: Path, settings: Settings, *, every: int, stop_after: int | None) -> Run:
    """Return the run when it is through, or has done ``stop_after`` further steps."""
    state = work / "state.safetensors"
    run = Run.resume(state) if state.exists() else Run(settings)
    if run.settings != settings:
        sys.exit(f"{state} belongs to other settings: {run.settings}")
    until = settings.steps if stop_after is None else min(settings.steps, run.step + stop_after)
    columns = (
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=settings.steps, completed=run.step)
        while run.step < until:
            losses = run.advance()
            bar.update(task, completed=run.step, description=f"loss {losses['told_loss']:.3f}")
            if run.step == round(EARLY * settings.steps):
                run.export(work / "early")
            if run.step % every == 0 or run.step == until:
                accuracy = run.measure(NUM_SHARDS[0], MEASURED)
                entry = {"step": run.step, "seconds": round(run.seconds), **losses}
                run.log.append(entry | {"accuracy": accuracy})
                bar.console.print(run.log[-1])
                run.save(state)
    return run


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--target", type=Path, default=TARGET)
    parser.add_argument("--every", type=int, default=100, help="steps between saves")
    parser.add_argument("--stop-after", type=int, help="steps after which to leave off")
    parser.add_argument("--questions", type=int, default=500)
    for field in fields(Settings):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default
        )
    options = parser.parse_args()
    settings = Settings(**{field.name: getattr(options, field.name) for field in fields(Settings)})
    options.work.mkdir(parents=True, exist_ok=True)
    run = train(options.work, settings, every=options.every, stop_after=options.stop_after)
    if run.step < settings.steps:
        return
    run.export(options.target / "final")
    facts = run.facts() | {
        "held_out": {
            "questions": options.questions,
            "accuracy": {str(k): run.measure(k, options.questions) for k in NUM_SHARDS},
        }
    }
    early = options.target / "early"
    early.mkdir(parents=True, exist_ok=True)
    for file in (options.work / "early").iterdir():
        (early / file.name).write_bytes(file.read_bytes())
    (options.target / "training-log.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
