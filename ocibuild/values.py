"""Data classes and named tuples as the standard library has them, made in a tenth of the time.

A build that is all cached makes 139 and 45 of them, which was half of its start-up: ``dataclasses`` writes up to seven
methods of each class as text, and compiles each alone; ``typing`` compiles the annotation of each field of a tuple.
Here ``__init__`` alone is compiled, when the first instance is made, the other methods are functions that all classes
share, and nobody reads annotations. ``fields()``, ``replace()`` and ``asdict()`` are those of ``dataclasses``.
"""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from operator import attrgetter
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import NamedTuple

    Fields = Sequence[dataclasses.Field[Any]]

__all__ = ["NamedTuple", "dataclass"]

_Class = TypeVar("_Class")
_MISSING = dataclasses.MISSING
_FIELD = vars(dataclasses)["_FIELD"]  # what tells a field from a ClassVar, of which we have none
_OF_CLASSES = frozenset({"__dict__", "__weakref__"})


@dataclass_transform(field_specifiers=(dataclasses.field,))
def dataclass(
    *, frozen: bool = False, slots: bool = False, eq: bool = True, kw_only: bool = False
) -> Callable[[type[_Class]], type[_Class]]:
    """Return a decorator that does what that of ``dataclasses`` does with these arguments."""

    def decorate(cls: type[_Class]) -> type[_Class]:
        own = set(vars(cls))
        fields = _declared(cls, kw_only=kw_only)
        made = _with_slots(cls, fields) if slots else cls
        _complete(made, list(fields.values()), own, frozen=frozen, eq=eq)
        return made

    return decorate


def _declared(cls: Any, *, kw_only: bool) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of a class by name, those of what it stands on first, and note them where others look."""
    fields: dict[str, dataclasses.Field[Any]] = {}
    for base in reversed(cls.__mro__[1:]):
        fields |= vars(base).get("__dataclass_fields__", {})
    for name, annotation in cls.__annotations__.items():
        given = getattr(cls, name, _MISSING)
        if isinstance(given, MemberDescriptorType):  # a slot of what it stands on
            given = _MISSING
        if isinstance(given, dataclasses.Field):
            field = given
            if field.default is _MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, field.default)
        else:
            field = dataclasses.field(default=given)  # type: ignore[arg-type]
        field.name, field.type = name, annotation
        field._field_type = _FIELD  # type: ignore[attr-defined]  # noqa: SLF001
        if field.kw_only is _MISSING:
            field.kw_only = kw_only
        fields[name] = field
    cls.__dataclass_fields__ = fields
    names = (name for name, field in fields.items() if field.init and not field.kw_only)
    cls.__match_args__ = tuple(names)  # type: ignore[misc]
    return fields


def _with_slots(cls: Any, names: Collection[str]) -> Any:
    """Return a class like this one, whose instances have room for their fields alone."""
    body = {name: value for name, value in vars(cls).items() if name not in names and name not in _OF_CLASSES}
    inherited = {name for base in cls.__mro__[1:] for name in vars(base).get("__dataclass_fields__", ())}
    own = tuple(name for name in names if name not in inherited)
    made = type(cls)(cls.__name__, cls.__bases__, {**body, "__slots__": own})
    made.__qualname__ = cls.__qualname__
    return made


def _complete(cls: Any, fields: Fields, own: Collection[str], *, frozen: bool, eq: bool) -> None:
    """Give a class the methods of a data class, but for those that it has as its ``own``."""
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


if not TYPE_CHECKING:

    class _NamedTupleMeta(type):
        """Makes the classes that stand on ``NamedTuple``."""

        def __new__(mcs, name: str, _bases: tuple[type, ...], body: dict[str, Any]) -> type:
            annotations = body["__annotations__"]
            defaults = [body.pop(field) for field in annotations if field in body]
            made = namedtuple(name, annotations, defaults=defaults, module=body["__module__"])  # noqa: PYI024
            for key, value in body.items():
                setattr(made, key, value)
            return made

    NamedTuple = type.__new__(
        _NamedTupleMeta, "NamedTuple", (), {"__doc__": "What is a tuple with names for its parts."}
    )
