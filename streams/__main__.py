"""`python -m streams` is the command line `emberline`."""

from streams.cli import main

main()
