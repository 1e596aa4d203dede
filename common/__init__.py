"""What every process of emberline has: settings, logs, errors, clients of Kafka, metrics, health."""
