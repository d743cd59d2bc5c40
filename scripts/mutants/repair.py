"""Bugs in the repairs of a render, and in how their results are found and shared."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

FRAGMENTS = "tests/agents/repair/test_fragments.py"
FLOAT64 = "tests/agents/repair/test_float64.py"
SHARED = "tests/client/test_repair.py"

MUTANTS = (
    Mutant(
        "a token that is computed again does not see itself",
        "latentcrdt/agents/repair/selective.py",
        "seen = distance >= 0",
        "seen = distance > 0",
        FLOAT64,
    ),
    Mutant(
        "a window of a repair is one token too wide",
        "latentcrdt/agents/repair/selective.py",
        "seen &= distance < window",
        "seen &= distance <= window",
        FRAGMENTS,
    ),
    Mutant(
        "lost rows of a sliding layer are looked for one too far",
        "latentcrdt/agents/repair/selective.py",
        "(chosen - lacking[nearest.clamp_min(0)] < layer.window)",
        "(chosen - lacking[nearest.clamp_min(0)] <= layer.window)",
        "tests/agents/repair/test_refusals.py",
    ),
    Mutant(
        "LegoLink computes the first fragment again",
        "latentcrdt/agents/repair/legolink.py",
        "for p in plan.placements[1:]",
        "for p in plan.placements",
        FRAGMENTS,
    ),
    Mutant(
        "CacheBlend compares keys alone",
        "latentcrdt/agents/repair/cacheblend.py",
        "distance += _squares(values, rows.values[:, :, behind])",
        "_squares(values, rows.values[:, :, behind])",
        FLOAT64,
    ),
    Mutant(
        "CacheBlend takes the nearest tokens",
        "latentcrdt/agents/repair/cacheblend.py",
        "descending=True, stable=True",
        "descending=False, stable=True",
        FLOAT64,
    ),
    Mutant(
        "APE multiplies the log-sum by the scale alone",
        "latentcrdt/agents/repair/ape.py",
        "(ape.scale * ape.temperature - 1)",
        "(ape.scale - 1)",
        "tests/agents/repair/test_ape.py",
    ),
    Mutant(
        "a query under APE sees the token after it",
        "latentcrdt/agents/repair/ape.py",
        "triu(num_rows - num_queries + 1)",
        "triu(num_rows - num_queries + 2)",
        "tests/agents/repair/test_ape.py",
    ),
    Mutant(
        "latent rows are fed each other's embeddings",
        "latentcrdt/agents/repair/inputs.py",
        "embeddings[is_latent] = latent.to(embeddings.dtype)",
        "embeddings[is_latent] = latent.flip(0).to(embeddings.dtype)",
        FRAGMENTS,
    ),
    Mutant(
        "a member of other tokens stands for a derivation",
        "latentcrdt/core/derived.py",
        "joined in (None, derived.token_bytes)",
        "len(joined or b'') >= 0",
        SHARED,
    ),
    Mutant(
        "the largest id of several results is taken",
        "latentcrdt/client/flows/deriving.py",
        "key=lambda member: member.fragment_id)",
        "key=lambda member: member.fragment_id, reverse=True)",
        SHARED,
    ),
    Mutant(
        "a result made meanwhile is not looked for",
        "latentcrdt/client/flows/deriving.py",
        "return made.fragment_id if found is None else found",
        "return made.fragment_id",
        SHARED,
    ),
    Mutant(
        "a wrong order is repaired",
        "latentcrdt/client/flows/deriving.py",
        "            yield from self.fetcher.check_order(self.plan, self.headers)\n",
        "            yield from ()\n",
        SHARED,
    ),
    Mutant(
        "any rows verify as derived",
        "latentcrdt/agents/repair/verify.py",
        "if not error <= bound:",
        "if not error <= 9 * bound + 9:",
        "tests/agents/repair/test_sharing.py",
    ),
)
