"""Push, fetch and render beside the limits of this machine and other programs' stores.

``python -m scripts.bench_peers``; docs/benchmarks.md is its page.
"""
