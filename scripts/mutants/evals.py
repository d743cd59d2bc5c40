"""Bugs in runs, statistics, reports and metrics of evaluations."""

from __future__ import annotations

from scripts.mutants.mutant import Mutant

RUNS = "tests/evals/test_runs.py"
STATISTICS = "tests/evals/test_statistics.py"
REPORT = "tests/evals/test_report.py"
HOTPOTQA = "tests/evals/test_hotpotqa.py"

MUTANTS = (
    Mutant(
        "half a line left in place when a run goes on",
        "latentcrdt/evals/append_file.py",
        "self._file.truncate(_whole_lines_end(path))",
        "self._file.truncate()",
        RUNS,
    ),
    Mutant(
        "a receipt stored once for each answer",
        "latentcrdt/evals/run_directory.py",
        "if name not in self._known:",
        "if name:",
        RUNS,
    ),
    Mutant(
        "a stored answer asked for again",
        "latentcrdt/evals/runner.py",
        "if key not in directory:",
        "if key:",
        RUNS,
    ),
    Mutant(
        "a run gone on with under other settings",
        "latentcrdt/evals/manifest.py",
        "if was != now:",
        "if was is None:",
        RUNS,
    ),
    Mutant(
        "McNemar's test on one side",
        "latentcrdt/evals/statistics/mcnemar.py",
        "Fraction(2 * tail, 2**flips)",
        "Fraction(tail, 2**flips)",
        STATISTICS,
    ),
    Mutant(
        "the outcome seen left out of McNemar's tail",
        "latentcrdt/evals/statistics/mcnemar.py",
        "range(min(only_first, only_second) + 1)",
        "range(min(only_first, only_second))",
        STATISTICS,
    ),
    Mutant(
        "Wilson's interval at 90 %",
        "latentcrdt/evals/statistics/proportion.py",
        "inv_cdf((1 + LEVEL) / 2)",
        "inv_cdf(LEVEL)",
        STATISTICS,
    ),
    Mutant(
        "every difference drawn equally often",
        "latentcrdt/evals/statistics/bootstrap.py",
        "multinomial(n, counts / n, size=RESAMPLES)",
        "multinomial(n, np.full(len(counts), 1 / len(counts)), size=RESAMPLES)",
        STATISTICS,
    ),
    Mutant(
        "Holm's correction that steps back down",
        "latentcrdt/evals/statistics/holm.py",
        "least = max(least, min(1.0, (count - rank) * p_values[index]))",
        "least = min(1.0, (count - rank) * p_values[index])",
        STATISTICS,
    ),
    Mutant(
        "questions compared that one method did not answer",
        "latentcrdt/evals/report/summarise.py",
        "if all(item in answers for answers in others)]",
        "if any(item in answers for answers in others)]",
        REPORT,
    ),
    Mutant(
        "the worst order taken for the best",
        "latentcrdt/evals/report/summarise.py",
        "best=max(orders",
        "best=min(orders",
        REPORT,
    ),
    Mutant(
        "a difference of lengths not seen",
        "latentcrdt/evals/diff.py",
        "for i in range(max(len(first), len(second))):",
        "for i in range(min(len(first), len(second))):",
        "tests/evals/test_diff.py",
    ),
    Mutant(
        "a part of yes counted",
        "latentcrdt/evals/hotpotqa/metric.py",
        "(got in CLOSED or wanted in CLOSED)",
        "(got in CLOSED and wanted in CLOSED)",
        HOTPOTQA,
    ),
    Mutant(
        "a word counted as often as it was said",
        "latentcrdt/evals/hotpotqa/metric.py",
        "(Counter(got_words) & Counter(wanted_words)).total()",
        "sum(word in wanted_words for word in got_words)",
        HOTPOTQA,
    ),
    Mutant(
        "comparison questions asked too",
        "latentcrdt/evals/hotpotqa/benchmark.py",
        'if e.kind == "bridge"',
        "if e.kind",
        HOTPOTQA,
    ),
    Mutant(
        "one method's answer remembered as another's",
        "latentcrdt/evals/methods.py",
        "key = (self.name, task)",
        'key = ("", task)',
        "tests/evals/test_evaluate.py",
    ),
)
