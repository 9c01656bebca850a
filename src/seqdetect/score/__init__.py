"""The scorer: events in, scores out, with one state row per user and one graph call per tick."""
