"""Anti-entropy as values and functions: messages in, messages out.

Three ways for one replica to learn what another has, cheapest first: its feed since a cursor
(`feed`), the roots of its states (`roots`), and, for a state whose roots differ, a comparison whose
cost follows the difference (`tree`, `messages`, `session`). Nothing here knows a network: servers,
clients and the simulator share it.
"""
