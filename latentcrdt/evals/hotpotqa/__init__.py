"""HotpotQA (Yang et al., EMNLP 2018): two-hop questions over paragraphs of Wikipedia."""

from latentcrdt.evals.hotpotqa.benchmark import HotpotQA
from latentcrdt.evals.hotpotqa.examples import Example, Paragraph, read_examples
from latentcrdt.evals.hotpotqa.metric import exact_match, f1_score

__all__ = ["Example", "HotpotQA", "Paragraph", "exact_match", "f1_score", "read_examples"]
