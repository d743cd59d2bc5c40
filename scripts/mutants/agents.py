"""Bugs in latent agents, the methods that are compared, and the gate."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

THINK = "latentcrdt/agents/think.py"
REALIGNMENT = "latentcrdt/agents/realignment.py"
TEAM = "latentcrdt/agents/team.py"
READING = "latentcrdt/agents/reading.py"
PACKLLM = "latentcrdt/agents/methods/packllm.py"
SIGNALS = "latentcrdt/agents/gate/signals.py"

MUTANTS = (
    Mutant(
        "a latent step fed at the position of the one before",
        THINK,
        "position=position + step,",
        "position=position + max(step - 1, 0),",
        "tests/agents/test_think.py",
    ),
    Mutant(
        "the state fed to a latent row kept in place of its input",
        THINK,
        "            inputs[step] = realign(hidden)\n            fed = inputs[step][None, None]",
        "            inputs[step] = hidden\n            fed = realign(hidden)[None, None]",
        "tests/agents/test_think.py",
    ),
    Mutant(
        "latent rows alone said to start where the prompt does",
        THINK,
        "start=start if every else stop,",
        "start=start,",
        "tests/agents/test_think.py",
    ),
    Mutant(
        "latent inputs not brought to the length of an embedding",
        REALIGNMENT,
        "state * (self.mean_norm / state.norm())",
        "state * 1.0",
        "tests/agents/test_realignment.py tests/agents/test_think.py",
    ),
    Mutant(
        "realignment transposed",
        REALIGNMENT,
        "state = state @ self.matrix",
        "state = state @ self.matrix.T",
        "tests/agents/test_think.py",
    ),
    Mutant(
        "the length of the table's rows taken, which the layer scales",
        REALIGNMENT,
        "rows = embed(torch.arange(vocab_size_of(model), device=embed.weight.device)).double()",
        "rows = embed.weight.double()",
        "tests/agents/test_realignment.py",
    ),
    Mutant(
        "realignment kept when the weights change",
        REALIGNMENT,
        "if known is None or known[0] != mark:",
        "if known is None:",
        "tests/agents/test_realignment.py",
    ),
    Mutant(
        "fragments remembered without the rows that were kept",
        TEAM,
        "name = (model_id, behind, tuple(token_ids), num_steps, rows)",
        "name = (model_id, behind, tuple(token_ids), num_steps, Rows.ALL)",
        "tests/agents/test_team.py",
    ),
    Mutant(
        "fragments remembered without their prefix",
        TEAM,
        "behind = None if prefix is None else prefix.fragment_id",
        "behind = None",
        "tests/agents/test_team.py",
    ),
    Mutant(
        "fragments behind a prefix begin a sequence",
        TEAM,
        "begins=prefix is None)",
        "begins=True)",
        "tests/agents/test_team.py",
    ),
    Mutant(
        "the canonical order is that of arrival",
        READING,
        "return [held[i] for i in canonical_order((sort_key(held[i]), i) for i in members)]",
        "return [held[f.fragment_id] for f in self.fragments if f.fragment_id in members]",
        "tests/agents/test_methods.py",
    ),
    Mutant(
        "a fragment read by two agents stands in a bag twice",
        READING,
        "return list(chosen.values())",
        "return [self.fragments[i] for i in order]",
        "tests/agents/test_methods.py",
    ),
    Mutant(
        "texts merged in the order of arrival",
        "latentcrdt/agents/methods/text_merge.py",
        "sorted(set(texts), key=lambda text: digest(text.encode()))",
        "list(dict.fromkeys(texts))",
        "tests/agents/test_methods.py",
    ),
    Mutant(
        "copies scored by the logits of the token itself",
        PACKLLM,
        "cross_entropy(logits[:-1], expected)",
        "cross_entropy(logits[1:], expected)",
        "tests/agents/test_packllm.py",
    ),
    Mutant(
        "likelier copies count for less",
        PACKLLM,
        "torch.softmax(-losses / TAU, dim=0)",
        "torch.softmax(losses / TAU, dim=0)",
        "tests/agents/test_packllm.py",
    ),
    Mutant(
        "earlier copies keep their weight when another is mixed in",
        PACKLLM,
        "weights = [share * weight for weight in weights]",
        "weights = list(weights)",
        "tests/agents/test_packllm.py",
    ),
    Mutant(
        "the last token of an answer is stepped on in vain",
        "latentcrdt/hf/continuation.py",
        "        if len(token_ids) < max_new_tokens:\n            logits",
        "        if token_ids:\n            logits",
        "tests/hf/test_continuation.py",
    ),
    Mutant(
        "a continuation placed by rows instead of positions",
        "latentcrdt/hf/continuation.py",
        "plan.num_tokens, plan.next_position)",
        "plan.num_tokens, plan.num_tokens)",
        "tests/hf/test_continuation.py",
    ),
    Mutant(
        "gain measured against the worst fragment",
        SIGNALS,
        "loss_gain=min(losses) - loss,",
        "loss_gain=max(losses) + loss,",
        "tests/agents/gate",
    ),
    Mutant(
        "judges tried like anyone",
        "latentcrdt/agents/gate/policy.py",
        "if purpose is Purpose.JUDGE else None",
        "if purpose is None else None",
        "tests/agents/gate",
    ),
    Mutant(
        "thresholds chosen for accuracy alone",
        "latentcrdt/agents/gate/policy.py",
        "min((t for t in tried if t[0] >= enough - 1e-12), key=lambda t: t[1])",
        "max(tried, key=lambda t: t[0])",
        "tests/agents/gate/test_policy.py",
    ),
    Mutant(
        "thresholds fitted on the risks of examples that the model has seen",
        "latentcrdt/agents/gate/policy.py",
        "if i % folds != fold]",
        "if i % folds != -1]",
        "tests/agents/gate/test_policy.py",
    ),
    Mutant(
        "the trial of a gate is not paid for",
        "latentcrdt/agents/gate/gated.py",
        "spent.prefilled_tokens + answer.cost.prefilled_tokens",
        "answer.cost.prefilled_tokens",
        "tests/agents/gate/test_gated.py",
    ),
)
