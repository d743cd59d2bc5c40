"""Confluence: can two branches of a text be blended into one cache that carries both?

FACTS section 6: a battery of pairs, 23 strategies, and what a model predicts behind each merge.
"""
