"""What is known about where we are without trying anything: it words remedies, and never decides."""

from __future__ import annotations

import os
import pwd
from enum import Enum
from typing import TYPE_CHECKING

from ocibuild.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

_UBUNTU = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_DEBIAN = "/proc/sys/kernel/unprivileged_userns_clone"
_MOST = "/proc/sys/user/max_user_namespaces"
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"


class Container(Enum):
    """What kind of container this process is in."""

    DOCKER = "docker"
    PODMAN = "podman"
    KUBERNETES = "Kubernetes"
    GITLAB = "GitLab CI"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The user, the container, and settings that refuse things; what a kernel does not have is unset."""

    uid: int = 0
    names: tuple[str, ...] = ("0", "root")
    """What the user is called in files such as /etc/subuid: its number, and its name where it has one."""
    container: Container = Container.NONE
    container_evidence: str = "no sign of one"
    apparmor: str = ""
    """The AppArmor profile that this process is under; nothing where it is under none."""
    seccomp_filter: bool = False
    no_new_privileges: bool = False
    most_user_namespaces: int | None = None
    debian_refuses: bool = False
    ubuntu_restricts: bool = False
    yama_scope: int | None = None


def look_around(environ: Mapping[str, str]) -> Surroundings:
    """Return the surroundings of this process."""
    status = dict(line.partition(":")[::2] for line in _text("/proc/self/status").splitlines())
    signs = _signs(environ)
    return Surroundings(
        uid=os.geteuid(),
        names=_names(os.geteuid()),
        container=kind_of_container(signs),
        container_evidence=", ".join(signs) or "no sign of one",
        apparmor=_profile(_text("/proc/self/attr/current")),
        seccomp_filter=status.get("Seccomp", "").strip() == "2",
        no_new_privileges=status.get("NoNewPrivs", "").strip() == "1",
        most_user_namespaces=_number(_MOST),
        debian_refuses=_number(_DEBIAN) == 0,
        ubuntu_restricts=_number(_UBUNTU) == 1,
        yama_scope=_number(_YAMA),
    )


def kind_of_container(signs: Mapping[str, str]) -> Container:
    """Return the kind that ``signs`` speak of: who makes the container, before what it is made with."""
    kinds = set(signs.values())
    if "Kubernetes" in kinds:
        return Container.KUBERNETES
    if "GitLab CI" in kinds and kinds & {"docker", "podman"}:  # else a job on the machine itself
        return Container.GITLAB
    if "podman" in kinds:
        return Container.PODMAN
    return Container.DOCKER if "docker" in kinds else Container.NONE


def _signs(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the signs of a container that are there, each with the kind that it speaks of."""
    groups = _text("/proc/1/cgroup")
    signs = (
        ("KUBERNETES_SERVICE_HOST", "Kubernetes", bool(environ.get("KUBERNETES_SERVICE_HOST"))),
        ("GITLAB_CI", "GitLab CI", bool(environ.get("GITLAB_CI"))),
        ("/.dockerenv", "docker", os.path.exists("/.dockerenv")),
        ("/run/.containerenv", "podman", os.path.exists("/run/.containerenv")),
        ("/docker in /proc/1/cgroup", "docker", "/docker" in groups),
        ("kubepods in /proc/1/cgroup", "Kubernetes", "kubepods" in groups),
        ("/libpod in /proc/1/cgroup", "podman", "/libpod" in groups),
    )
    return {sign: kind for sign, kind, seen in signs if seen}


def _names(uid: int) -> tuple[str, ...]:
    try:
        return (str(uid), pwd.getpwuid(uid).pw_name)
    except KeyError:
        return (str(uid),)


def _profile(label: str) -> str:
    label = label.strip("\0\n")
    return "" if label == "unconfined" else label


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
