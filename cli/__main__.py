"""The program `emberline`, which `python -m cli` is too."""

from cli import signals

# Before the imports that take long: a Ctrl-C in the first second is one too.
signals.end_at_once()

from cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
