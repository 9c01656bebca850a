"""The parts that generated traffic is made of: how much, when, how long, and what the service answers.

Each file draws its own per-user parameters from ``population.Population`` and applies them to all users at
once; ``seqdetect.source.synthetic`` puts them together. Users are rows, 600-s cells are columns.
"""
