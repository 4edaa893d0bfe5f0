"""Build events to a terminal display, to plain lines or to JSON lines."""

from ocibuild.progress.display import display
from ocibuild.progress.mode import Mode

__all__ = ["Mode", "display"]
