"""The Faust side of emberline: transport, workers, checkpoints, settings, metrics, command line. Sees all others."""
