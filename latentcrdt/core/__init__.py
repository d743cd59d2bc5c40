"""The pure part: ids, bytes, the set, the plan. No torch, no I/O, no clock, no randomness."""
