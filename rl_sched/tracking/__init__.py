"""Where measurements go: a JSONL spool on disk first, MLflow from it.

A training process writes its spool and nothing else; ``MlflowSink`` replays spools into MLflow, now or a week later,
as often as you like. Nothing is imported here: mlflow costs seconds.
"""
