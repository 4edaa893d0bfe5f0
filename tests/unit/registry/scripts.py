"""Scripted answers of the stand-in, for ``Service.intercept``: each returns True, for "answered"."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demo.registry import Handler


def reply(handler: Handler, status: int, body: bytes = b"", **headers: str) -> bool:
    """Answer; names of headers are written with underscores."""
    handler.answer(status, body, **headers)
    return True


def refuse(handler: Handler, status: int, code: str, message: str, **headers: str) -> bool:
    """Answer with an error of the protocol."""
    handler.fail(status, code, message, **headers)
    return True
