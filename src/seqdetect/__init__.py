"""Anomalies in LLM token usage: from request events to a calibrated, streaming scorer."""
