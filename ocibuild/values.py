"""Data classes as the standard library has them, made in a fifth of the time.

A build that is all cached makes 139 of them, which was half of its start-up: ``dataclasses`` writes up to seven methods
of each class as text, and compiles each alone. Here it does what needs no compiler (fields, defaults, slots,
``replace()``), ``__init__`` alone is compiled, when the first instance is made, and the other methods are functions
that all classes share.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Fields = Sequence[dataclasses.Field[Any]]

_Class = TypeVar("_Class")
_MISSING = dataclasses.MISSING


@dataclass_transform(field_specifiers=(dataclasses.field,))
def dataclass(
    *, frozen: bool = False, slots: bool = False, eq: bool = True, kw_only: bool = False
) -> Callable[[type[_Class]], type[_Class]]:
    """Return a decorator that does what that of ``dataclasses`` does with these arguments."""

    def decorate(cls: type[_Class]) -> type[_Class]:
        made: type[_Class] = dataclasses.dataclass(
            init=False, repr=False, eq=False, frozen=False, slots=slots, kw_only=kw_only
        )(cls)
        _complete(made, own=vars(cls), frozen=frozen, eq=eq)
        return made

    return decorate


def _complete(cls: Any, own: Any, *, frozen: bool, eq: bool) -> None:
    """Give a class the methods of a data class, but for those that it has as its ``own``."""
    fields = dataclasses.fields(cls)
    cls.__init__ = _init_later(cls, fields, frozen=frozen)
    if "__repr__" not in own:
        cls.__repr__ = _repr
    if eq and "__eq__" not in own:
        cls.__eq__ = _equality([field.name for field in fields if field.compare])
        hashed = [field.name for field in fields if (field.compare if field.hash is None else field.hash)]
        cls.__hash__ = _hash(hashed) if frozen else None  # what may change has none
    if frozen:
        cls.__setattr__, cls.__delattr__ = _refuse_to_set, _refuse_to_delete
        cls.__getstate__, cls.__setstate__ = _state, _set_state


def _init_later(cls: Any, fields: Fields, *, frozen: bool) -> Callable[..., None]:
    """Return an ``__init__`` that puts the compiled one in its place: most classes of a command have no instance."""

    def __init__(self: Any, /, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        cls.__init__ = _init(cls, fields, frozen=frozen)
        cls.__init__(self, *args, **kwargs)

    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    return __init__


def _init(cls: type, fields: Fields, *, frozen: bool) -> Callable[..., None]:
    known: dict[str, Any] = {"_set": object.__setattr__, "_missing": _MISSING}
    parameters, named_ones, lines = ["self"], ["*"], []
    for field in fields:
        name = field.name
        parameter = value = name
        if field.default is not _MISSING:
            known[f"_default_{name}"] = field.default
            parameter = f"{name}=_default_{name}"
        elif field.default_factory is not _MISSING:
            known[f"_make_{name}"] = field.default_factory
            parameter, value = f"{name}=_missing", f"_make_{name}() if {name} is _missing else {name}"
        if field.init:
            (named_ones if field.kw_only else parameters).append(parameter)
        elif parameter == name:
            continue  # whoever declares it sets it
        else:
            value = f"_make_{name}()" if field.default is _MISSING else f"_default_{name}"
        lines.append(f"    _set(self, {name!r}, {value})\n" if frozen else f"    self.{name} = {value}\n")
    if hasattr(cls, "__post_init__"):
        lines.append("    self.__post_init__()\n")
    given = ", ".join([*parameters, *(named_ones if named_ones[1:] else [])])
    made: dict[str, Any] = {}
    exec(f"def __init__({given}):\n{''.join(lines) or '    pass'}", known, made)  # noqa: S102  (of our own classes)
    init: Callable[..., None] = made["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _equality(names: Sequence[str]) -> Callable[[Any, Any], Any]:
    key = _values(names)

    def is_equal(self: Any, other: Any) -> Any:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    return is_equal


def _hash(names: Sequence[str]) -> Callable[[Any], int]:
    key = _values(names)
    return lambda self: hash(key(self))


def _values(names: Sequence[str]) -> Callable[[Any], Any]:
    """Return what gives the values of these fields, as something to compare."""
    return attrgetter(*names) if names else lambda _self: ()


def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _refuse_to_set(_self: object, name: str, _value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: Sequence[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
