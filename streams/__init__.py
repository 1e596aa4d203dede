"""The Faust side of emberline: transport, workers, checkpoints."""
