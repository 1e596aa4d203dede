"""What a worker watches while it works: topics, brokers, and its own progress."""
