from __future__ import annotations

import os

import pytest

from ocibuild.executor.probe.surroundings import Container, kind_of_container, look_around
from ocibuild.sandbox import syscalls
from tests.support.lab import LONELY, in_child, needs_root

SIGNS = {
    "none": ([], Container.NONE),
    "docker": (["docker"], Container.DOCKER),
    "podman": (["podman"], Container.PODMAN),
    "gitlab": (["GitLab CI", "docker"], Container.GITLAB),
    "gitlab-on-the-machine": (["GitLab CI"], Container.NONE),
    "gitlab-on-kubernetes": (["Kubernetes", "GitLab CI"], Container.KUBERNETES),
    "kubernetes-with-docker": (["Kubernetes", "docker"], Container.KUBERNETES),
}


@pytest.mark.parametrize("name", SIGNS)
def test_kind_of_container_follows_from_its_signs(name: str) -> None:
    kinds, expected = SIGNS[name]
    assert kind_of_container({f"sign {kind}": kind for kind in kinds}) is expected


def test_environment_is_a_sign() -> None:
    around = look_around({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert around.container is Container.KUBERNETES
    assert "KUBERNETES_SERVICE_HOST" in around.container_evidence


@needs_root
def test_user_without_a_name_is_known_by_number() -> None:
    around = in_child(lambda: look_around({}), uid=LONELY)
    assert (around.uid, around.names) == (LONELY, (str(LONELY),))


def test_new_privileges_that_are_forbidden_are_seen() -> None:
    def without() -> bool:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        return look_around({}).no_new_privileges

    assert in_child(without)
    assert not in_child(lambda: look_around({}).no_new_privileges) or os.geteuid()
