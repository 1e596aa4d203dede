"""`python -m cli` is the command line `emberline`."""

from cli.main import main

main()
