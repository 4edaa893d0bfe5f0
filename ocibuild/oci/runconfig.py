"""How a container of an image is run: the ``config`` member of an image config."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from ocibuild.oci import documents
from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Docker's ``Healthcheck``: ``test`` begins with NONE, CMD or CMD-SHELL, and is empty where it is inherited.

    Times are nanoseconds; 0 means docker's default.
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Healthcheck:
        """Return the health check that a JSON object is; raises InvalidDocument."""
        return cls(
            test=documents.strings(document, "Test"),
            interval=documents.integer(document, "Interval", 0),
            timeout=documents.integer(document, "Timeout", 0),
            start_period=documents.integer(document, "StartPeriod", 0),
            start_interval=documents.integer(document, "StartInterval", 0),
            retries=documents.integer(document, "Retries", 0),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members in docker's order, without empty ones."""
        return documents.compact(
            [
                ("Test", list(self.test)),
                ("Interval", self.interval),
                ("Timeout", self.timeout),
                ("StartPeriod", self.start_period),
                ("StartInterval", self.start_interval),
                ("Retries", self.retries),
            ]
        )


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The defaults of a container; see image-spec, config.md, "config", and docker's additions to it.

    ``env`` holds ``NAME=value`` in order; ``exposed_ports`` as ``80/tcp``. ``entrypoint``, ``cmd`` and ``shell`` are
    None where they are not set; an empty one is set, to nothing.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] = ()
    args_escaped: bool = False

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RunConfig:
        """Return the run settings that a JSON object is; raises InvalidDocument."""
        healthcheck = documents.maybe_object(document, "Healthcheck")
        return cls(
            user=documents.maybe_text(document, "User") or "",
            exposed_ports=documents.names(document, "ExposedPorts"),
            env=documents.strings(document, "Env"),
            entrypoint=documents.maybe_strings(document, "Entrypoint"),
            cmd=documents.maybe_strings(document, "Cmd"),
            volumes=documents.names(document, "Volumes"),
            working_dir=documents.maybe_text(document, "WorkingDir") or "",
            labels=documents.string_map(document, "Labels"),
            stop_signal=documents.maybe_text(document, "StopSignal") or "",
            healthcheck=None if healthcheck is None else Healthcheck.from_json(healthcheck),
            shell=documents.maybe_strings(document, "Shell"),
            on_build=documents.strings(document, "OnBuild"),
            args_escaped=documents.boolean(document, "ArgsEscaped"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the members in the order of the specification, docker's after them; ports and the like are sorted."""
        members: dict[str, Any] = {
            "User": self.user or None,
            "ExposedPorts": _set(self.exposed_ports),
            "Env": list(self.env) or None,
            "Entrypoint": _maybe_list(self.entrypoint),
            "Cmd": _maybe_list(self.cmd),
            "Volumes": _set(self.volumes),
            "WorkingDir": self.working_dir or None,
            "Labels": dict(sorted(self.labels.items())) or None,
            "StopSignal": self.stop_signal or None,
            "ArgsEscaped": self.args_escaped or None,
            "Healthcheck": None if self.healthcheck is None else self.healthcheck.to_json(),
            "OnBuild": list(self.on_build) or None,
            "Shell": _maybe_list(self.shell),
        }
        return {key: value for key, value in members.items() if value is not None}


def _set(names: Iterable[str]) -> dict[str, Any] | None:
    """Return names as Go writes a set: an object of empty objects."""
    return {name: {} for name in sorted(names)} or None


def _maybe_list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)
