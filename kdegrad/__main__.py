"""``python -m kdegrad`` is the command ``kdegrad``."""

from kdegrad.cli import main

if __name__ == "__main__":
    main()
