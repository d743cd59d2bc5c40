"""What takes several calls, as generators that yield steps.

``steps`` says what a step is, and how flows run at once. ``pushing`` and ``fetching`` are of
fragments; ``rendering`` and ``merging`` have the server do it and hold the answer to its receipt;
``rendering_here`` does it again from the fragments; ``deriving`` is of rows that are made.
"""
