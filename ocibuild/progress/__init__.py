"""Build events to a terminal display, to plain lines or to JSON lines."""

from ocibuild.progress.display import Display, display
from ocibuild.progress.mode import Mode

__all__ = ["Display", "Mode", "display"]
