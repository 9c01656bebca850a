"""From events to per-user sequences: order, facts per user and tick, population, windows, splits."""
