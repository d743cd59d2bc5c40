"""Bugs in the merging of two models."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

LATENT = "latentcrdt/merging/models/latent.py"
TESTS = "tests/merging/models"

MUTANTS = (
    Mutant(
        "the hooks of a latent merge stay on",
        LATENT,
        "            undo.callback(handle.remove)\n",
        "            pass\n",
        f"{TESTS}/test_latent.py",
    ),
    Mutant(
        "the tuned model keeps its hook after a pass that failed",
        LATENT,
        "        finally:\n            handle.remove()\n",
        "        finally:\n            pass\n",
        f"{TESTS}/test_latent.py",
    ),
    Mutant(
        "a recorded hidden state is the one from before the merge",
        LATENT,
        "register_forward_hook(self._merge, prepend=True)",
        "register_forward_hook(self._merge)",
        f"{TESTS}/test_latent.py",
    ),
    Mutant(
        "a model may take part in two merges",
        LATENT,
        "            _in_use.add(decoder.module)\n",
        "",
        f"{TESTS}/test_latent.py",
    ),
    Mutant(
        "the condition is ignored",
        LATENT,
        "return merged if when is None else",
        "return merged if True else",
        f"{TESTS}/test_latent.py",
    ),
    Mutant(
        "the second model's rows stay in the cache",
        "latentcrdt/merging/models/second_cache.py",
        "            del cache.layers[len(self._base.layers) :]\n",
        "            pass\n",
        f"{TESTS}/test_latent.py",
    ),
    Mutant(
        "rows that the second model never saw are taken",
        "latentcrdt/merging/models/second_cache.py",
        "if first_rows != second_rows:",
        "if first_rows < second_rows:",
        f"{TESTS}/test_latent.py",
    ),
    Mutant(
        "16-bit weights that are taken over lose their bits",
        "latentcrdt/merging/models/blend.py",
        "return torch.where(_same(merged, wide_a, bits), a, narrow)",
        "return merged.to(dtype)",
        f"{TESTS}/test_weights.py",
    ),
    Mutant(
        "a block of rows is left out",
        "latentcrdt/merging/models/weights.py",
        "for start in range(0, a.shape[0], step):",
        "for start in range(0, max(1, a.shape[0] - step), step):",
        f"{TESTS}/test_weights.py",
    ),
    Mutant(
        "an index may name files elsewhere",
        "latentcrdt/merging/models/checkpoint.py",
        "if Path(name).name != name or not (folder / name).is_file():",
        "if not (folder / name).is_file():",
        f"{TESTS}/test_weights.py",
    ),
    Mutant(
        "the bound forgets its second-order term",
        "latentcrdt/merging/models/bound.py",
        "SMOOTHNESS * constants.curvature**2 / 8",
        "SMOOTHNESS * constants.curvature**2 / 80",
        f"{TESTS}/test_geometry.py",
    ),
    Mutant(
        "a judge is asked in one order",
        "latentcrdt/evals/two_models/judge.py",
        "1 - judge(case, other, one).value",
        "judge(case, one, other).value",
        "tests/evals/two_models/test_judge.py",
    ),
    Mutant(
        "a latent sweep is answered without merging",
        "latentcrdt/evals/two_models/lab.py",
        '        with self._merging(Setting("latent", layer, operator, alpha)):\n',
        "        with nullcontext():\n",
        "tests/evals/two_models/test_run.py",
    ),
)
