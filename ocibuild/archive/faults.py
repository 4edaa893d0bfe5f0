"""What is wrong with an image, as values."""

from __future__ import annotations

from typing import Any

from ocibuild.values import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: ``where`` it is (``app.tar: layer 2 sha256:…``) and ``what`` it is, together one line."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a validation: ``blobs`` were found to be sound, of ``size`` bytes together."""

    subject: str
    faults: tuple[Fault, ...]
    blobs: int
    size: int

    @property
    def valid(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "subject": self.subject,
            "valid": self.valid,
            "blobs": self.blobs,
            "size": self.size,
            "faults": [{"where": fault.where, "what": fault.what} for fault in self.faults],
        }
