from __future__ import annotations

import pytest

from ocibuild.executor.probe import remedies
from ocibuild.executor.probe.surroundings import Container, Surroundings

REFUSED = "Operation not permitted"
NOT_ENTERED = "this machine refuses a user namespace: Operation not permitted"
USER = ("1000", "dev")


def _around(container: Container = Container.NONE, **settings: object) -> Surroundings:
    return Surroundings(**{"uid": 1000, "names": USER, "container": container, **settings})  # type: ignore[arg-type]


DOCKER = _around(Container.DOCKER, seccomp_filter=True)
NAMESPACES = {
    "none-left": (_around(most_user_namespaces=0), REFUSED, "sysctl user.max_user_namespaces=15000"),
    "none-left-outside": (_around(), "No space left on device", "sysctl user.max_user_namespaces=15000"),
    "debian": (_around(debian_refuses=True), REFUSED, "sysctl kernel.unprivileged_userns_clone=1"),
    "ubuntu": (
        _around(ubuntu_restricts=True), REFUSED,
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile",
    ),
    "docker": (
        DOCKER, REFUSED,
        "start the container with --security-opt seccomp=unconfined --security-opt systempaths=unconfined",
    ),
    "docker-on-ubuntu": (
        _around(Container.DOCKER, seccomp_filter=True, ubuntu_restricts=True, apparmor="docker-default (enforce)"),
        REFUSED, "systempaths=unconfined --security-opt apparmor=unconfined",
    ),
    "unconfined-docker-on-ubuntu": (
        _around(Container.DOCKER, ubuntu_restricts=True), REFUSED, "kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "podman": (_around(Container.PODMAN), REFUSED, "--security-opt seccomp=unconfined --security-opt unmask=ALL"),
    "kubernetes": (
        _around(Container.KUBERNETES), REFUSED,
        "in the container's securityContext: seccompProfile: {type: Unconfined}, procMount: Unmasked",
    ),
    "kubernetes-with-apparmor": (
        _around(Container.KUBERNETES, apparmor="cri-containerd.apparmor.d (enforce)"), REFUSED,
        "appArmorProfile: {type: Unconfined}",
    ),
    "gitlab": (
        _around(Container.GITLAB), REFUSED, 'cap_add = ["SYS_ADMIN"], security_opt = ["seccomp=unconfined"]',
    ),
    "elsewhere": (_around(), REFUSED, "run ocibuild as root"),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMESPACES)
def test_namespaces_are_allowed_by(name: str) -> None:
    around, seen, expected = NAMESPACES[name]
    assert expected in remedies.for_user_namespace(around, seen)


@pytest.mark.parametrize("container", Container, ids=lambda container: container.name)
def test_proc_and_steps_have_a_remedy_everywhere(container: Container) -> None:
    around = _around(container)
    assert remedies.for_proc(around, "a new /proc is refused: Operation not permitted")
    assert remedies.for_step(around, "a step is refused: .: Operation not permitted")


def test_step_without_proc_needs_proc() -> None:
    assert remedies.for_step(DOCKER, "a step is refused: proc: Operation not permitted").endswith(
        "systempaths=unconfined"
    )
    for other in (".: Operation not permitted", "the step's process was lost"):
        assert remedies.for_step(DOCKER, f"a step is refused: {other}").endswith("seccomp=unconfined")


def test_what_needs_namespaces_names_the_check_that_tells_more() -> None:
    found = {
        remedies.for_mount(DOCKER, NOT_ENTERED),
        remedies.for_proc(DOCKER, NOT_ENTERED),
        remedies.for_step(DOCKER, NOT_ENTERED),
        remedies.for_overlay("ext4", NOT_ENTERED),
    }
    assert found == {"see user-namespace"}
    refused_map = "this machine refuses to map an ID in a user namespace: /proc/self/uid_map: Operation not permitted"
    assert remedies.not_entered(refused_map) == "see user-namespace"


@pytest.mark.parametrize(
    ("file_system", "seen", "expected"),
    [
        ("overlay", "the mount is refused: Invalid argument", "--root DIR, on a volume"),
        ("ext4", "the mount is refused: No such device", "modprobe overlay"),
        ("nfs4", "the mount is refused: Invalid argument", "local file system"),
    ],
    ids=["on-an-overlay", "no-module", "on-nfs"],
)
def test_overlay_is_allowed_by(file_system: str, seen: str, expected: str) -> None:
    assert expected in remedies.for_overlay(file_system, seen)


def test_range_is_given_by_a_line_for_who_the_user_is() -> None:
    assert "echo dev:165536:65536 | tee -a /etc/subuid /etc/subgid" in remedies.for_subordinate_ids(_around(), 165_536)
    nameless = _around(Container.KUBERNETES, names=("1000",))
    assert remedies.for_subordinate_ids(nameless, 100_000).startswith(
        "in the container's image: echo 1000:100000:65536"
    )


def test_new_privileges_are_allowed_where_they_were_forbidden() -> None:
    assert "allowPrivilegeEscalation: true" in remedies.for_no_new_privileges(_around(Container.KUBERNETES))
    assert "no-new-privileges" in remedies.for_no_new_privileges(DOCKER)


def test_range_that_newuidmap_does_not_map_has_a_remedy() -> None:
    assert "no-new-privileges" in remedies.for_complaint(_around(Container.DOCKER, no_new_privileges=True), setuid=True)
    assert "/etc/passwd" in remedies.for_complaint(_around(names=("1000",)), setuid=True)
    assert "setcap cap_setuid=ep" in remedies.for_complaint(DOCKER, setuid=True)
    assert "bounding set" in remedies.for_complaint(DOCKER, setuid=False)
    assert "bounding set" in remedies.for_complaint(_around(), setuid=True)
    assert "chmod u+s" in remedies.for_helpers(_around())


def test_ptrace_that_the_machine_forbids_is_not_blamed_on_the_container() -> None:
    assert "ptrace_scope=3" in remedies.for_ptrace(_around(Container.DOCKER, yama_scope=3))
    assert "seccomp profile" in remedies.for_ptrace(DOCKER)


def test_proot_that_cannot_run_its_loader_wants_another_tmp() -> None:
    assert "--tmpfs /tmp:exec" in remedies.for_proot(DOCKER, "/tmp is mounted noexec")
    assert "mount a tmpfs" in remedies.for_proot(_around(), "/tmp is mounted noexec")
    assert "5.1.0" in remedies.for_proot(_around(), "")


def test_call_of_root_alone_is_no_fault_of_an_ordinary_user() -> None:
    assert "only root" in remedies.for_root_alone("chroot", DOCKER)
    root = _around(Container.DOCKER, uid=0)
    assert remedies.for_root_alone("mknod", root) == "start the container with --cap-add=MKNOD"
