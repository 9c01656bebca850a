"""The scorer inside Spark Structured Streaming: how events, memory and steps cross Spark, and nothing else.

Features, population and scores are those of ``seqdetect``, which this package imports and which knows nothing of it.
"""
