"""Where results go. `contract` says what a sink is; each folder is one sink, with the same file names in each."""
