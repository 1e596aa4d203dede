"""What stands around the stream, a folder each: the registry of units and devices."""
