"""What makes the registry's tables, one step a file, in their order."""
