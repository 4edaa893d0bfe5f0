from tests.support.programs import ocibuild, shared

__all__ = ["ocibuild", "shared"]
