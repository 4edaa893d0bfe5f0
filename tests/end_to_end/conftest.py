from tests.support.programs import everywhere, ocibuild, shared

__all__ = ["everywhere", "ocibuild", "shared"]
