"""Orders in the log: how far they are applied (`applied`), what becomes of each (`applying`), and what commands and the
registry's changes do to a partition (`commands`, `changes`)."""
