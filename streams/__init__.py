"""The Faust side of emberline: transport, workers, checkpoints, settings and metrics."""
