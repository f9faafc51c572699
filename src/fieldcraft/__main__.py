"""``python -m fieldcraft``."""

from fieldcraft.cli.app import main

main()
