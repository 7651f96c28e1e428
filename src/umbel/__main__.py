"""``python -m umbel`` is the command ``umbel``."""

from __future__ import annotations

from umbel.cli import main

__all__: tuple[str, ...] = ()

if __name__ == "__main__":
    main()
