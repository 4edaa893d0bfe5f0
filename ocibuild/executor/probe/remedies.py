"""What to change where something did not work: words chosen by where we are and by what was seen."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ocibuild.executor.probe.surroundings import Container

if TYPE_CHECKING:
    from ocibuild.executor.probe.surroundings import Surroundings

INSTALL_PROOT = "apt-get install proot, or put a static proot on PATH"
INSTALL_UIDMAP = "apt-get install uidmap"
FOR_ROOT_WITHOUT_IDS = "leave CAP_SETUID and CAP_SETGID to root here"
INSTALL_PASTA = "apt-get install passt, for a step with a network of its own"
INSTALL_QEMU = "apt-get install qemu-user-static, for steps of other processors"
FILTER = "use a kernel with CONFIG_SECCOMP_FILTER"
NOTIFICATION = "use Linux 5.5 or newer, and a seccomp profile that allows seccomp(2) to a container"
LANDLOCK = "use Linux 5.13 or newer, with landlock among the kernel's lsm="
REFLINK = "put the store (--root) on Btrfs or XFS, so that copies of files take neither time nor room"
USER_XATTR = "put the store (--root) on a file system that keeps user extended attributes, such as ext4, XFS or Btrfs"
STORE = "name a folder that this user may write to: --root DIR, or OCIBUILD_ROOT=DIR"

SEE = "see "
"""What a remedy begins with that is another check's, whose name follows."""

# what the sandbox says of it
_NOT_ENTERED = ("refuses a user namespace", "refuses to map an ID in a user namespace")
_NO_PROC = "refused: proc: "  # of a mount, by the name of the file system
_NO_ROOM = os.strerror(errno.ENOSPC)
_NO_DEVICE = os.strerror(errno.ENODEV)
_COUNT = 65_536


def for_user_namespace(around: Surroundings, seen: str) -> str:
    """Return what allows a user namespace, or a mount in it."""
    if around.most_user_namespaces == 0 or _NO_ROOM in seen:
        return "as root on the machine: sysctl user.max_user_namespaces=15000"
    if around.debian_refuses:
        return "as root on the machine: sysctl kernel.unprivileged_userns_clone=1"
    if around.container is not Container.NONE and around.seccomp_filter:
        return _for_container(around)
    if around.ubuntu_restricts and around.uid:
        return (
            "as root on the machine: sysctl kernel.apparmor_restrict_unprivileged_userns=0,"
            " or an AppArmor profile that gives ocibuild's Python `userns`"
        )
    if around.container is not Container.NONE:
        return _for_container(around)
    return "allow unshare(2) with CLONE_NEWUSER to this process, or run ocibuild as root"


def _for_container(around: Surroundings) -> str:
    """Return the least that gives a container user namespaces, mounts and a new /proc in them."""
    confined = bool(around.apparmor)
    match around.container:
        case Container.KUBERNETES:
            unconfined = ", appArmorProfile: {type: Unconfined}" if confined else ""
            return (
                "in the pod's spec: hostUsers: false, and in the container's securityContext:"
                f" seccompProfile: {{type: Unconfined}}, procMount: Unmasked{unconfined}"
            )
        case Container.GITLAB:
            quoted = '"seccomp=unconfined"' + (', "apparmor=unconfined"' if confined else "")
            settings = f'cap_add = ["SYS_ADMIN"], security_opt = [{quoted}]'
            return f"for a job as root, in the runner's config.toml, [runners.docker]: {settings}"
        case Container.PODMAN:
            options = ["seccomp=unconfined", "unmask=ALL", *(["apparmor=unconfined"] if confined else [])]
        case _:
            options = ["seccomp=unconfined", "systempaths=unconfined", *(["apparmor=unconfined"] if confined else [])]
    return "start the container with " + " ".join(f"--security-opt {option}" for option in options)


def for_mount(around: Surroundings, seen: str) -> str:
    """Return what allows a mount."""
    return not_entered(seen) or for_user_namespace(around, seen)


def not_entered(seen: str) -> str:
    """Return which check tells more, where the namespaces of a build could not be entered; else nothing."""
    return f"{SEE}user-namespace" if any(text in seen for text in _NOT_ENTERED) else ""


def for_proc(around: Surroundings, seen: str) -> str:
    """Return what allows a new /proc: the kernel refuses one to a user namespace where parts of its own are hidden."""
    if pointer := not_entered(seen):
        return pointer
    match around.container:
        case Container.KUBERNETES:
            return "in the pod's spec: hostUsers: false, and in the container's securityContext: procMount: Unmasked"
        case Container.GITLAB:
            return _for_container(around)
        case Container.PODMAN:
            return "start the container with --security-opt unmask=ALL"
        case Container.DOCKER:
            return "start the container with --security-opt systempaths=unconfined"
        case Container.NONE:
            return "unmount what lies over parts of /proc: the kernel allows a new one only where nothing is hidden"


def for_step(around: Surroundings, seen: str) -> str:
    """Return what allows a step where /proc is not what is refused: docker's filter has pivot_root(2) for nobody."""
    if pointer := not_entered(seen):
        return pointer
    if _NO_PROC in seen:
        return for_proc(around, seen)
    match around.container:
        case Container.KUBERNETES:
            return "in the container's securityContext: seccompProfile: {type: Unconfined}"
        case Container.GITLAB:
            return 'in the runner\'s config.toml, [runners.docker]: security_opt = ["seccomp=unconfined"]'
        case Container.DOCKER | Container.PODMAN:
            return "start the container with --security-opt seccomp=unconfined"
        case Container.NONE:
            return "allow the system calls of namespaces and mounts, pivot_root(2) among them, to this process"


def for_overlay(file_system: str, seen: str) -> str:
    """Return what allows an overlay on the store's file system."""
    if pointer := not_entered(seen):
        return pointer
    if _NO_DEVICE in seen:
        return "as root on the machine: modprobe overlay"
    if file_system in {"overlay", "fuse.fuse-overlayfs"}:
        return "put the store on another file system than the container's: --root DIR, on a volume"
    return "put the store on a local file system such as ext4, XFS or Btrfs: --root DIR; use Linux 5.11 or newer"


def for_subordinate_ids(around: Surroundings, first_free: int) -> str:
    """Return the line that gives the user a range of IDs."""
    line = f"{around.names[-1]}:{first_free}:{_COUNT}"
    where = "as root" if around.container is Container.NONE else "in the container's image"
    return f"{where}: echo {line} | tee -a /etc/subuid /etc/subgid, and {INSTALL_UIDMAP} if it is not there"


def for_helpers(around: Surroundings) -> str:
    """Return what makes newuidmap able to do its work.

    Its setuid bit does where root has CAP_SYS_ADMIN, which in a container it has not; with capabilities of its own it
    runs as who owns the namespace, and that is enough.
    """
    if around.container is Container.NONE:
        return "as root: chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap"
    return (
        "in the container's image: chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap,"
        " setcap cap_setuid=ep /usr/bin/newuidmap, setcap cap_setgid=ep /usr/bin/newgidmap"
    )


def for_complaint(around: Surroundings, *, setuid: bool) -> str:
    """Return what lets newuidmap map the range, which it has and does not."""
    if around.no_new_privileges:
        return for_no_new_privileges(around)
    if len(around.names) == 1:
        return f"give user {around.uid} a line in /etc/passwd: newuidmap wants to know a name"
    if setuid and around.container is not Container.NONE:
        return for_helpers(around)
    return "leave CAP_SETUID and CAP_SETGID in the bounding set of this process: newuidmap and newgidmap need them"


def for_no_new_privileges(around: Surroundings) -> str:
    """Return what lets a setuid program be one."""
    match around.container:
        case Container.KUBERNETES:
            return "in the container's securityContext: allowPrivilegeEscalation: true"
        case Container.NONE:
            return "start ocibuild without no_new_privs: systemd's NoNewPrivileges=, setpriv and sandboxes set it"
        case _:
            return "start the container without --security-opt no-new-privileges"


def for_ptrace(around: Surroundings) -> str:
    """Return what allows ptrace(2) of a child."""
    if around.yama_scope == 3:
        return "restart the machine without kernel.yama.ptrace_scope=3, which cannot be taken back"
    return "allow ptrace(2) in the seccomp profile: docker's own does, from Linux 4.8 on"


def for_proot(around: Surroundings, temporary: str) -> str:
    """Return what lets proot run a program; ``temporary`` is what keeps it from running its own from /tmp."""
    if not temporary:
        return f"{for_ptrace(around)}; or another proot: 5.1.0 is known to work"
    if around.container in {Container.DOCKER, Container.PODMAN}:
        return (
            f"start the container with --tmpfs /tmp:exec: {temporary}, and proot runs a program of its own from there"
        )
    return f"mount a tmpfs at /tmp, without noexec: {temporary}, and proot runs a program of its own from there"


def for_root_alone(name: str, around: Surroundings) -> str:
    """Return what allows a call that is root's."""
    if around.uid:
        return "only root may, and a build does not need it"
    capability = {"chroot": "SYS_CHROOT", "chown": "CHOWN", "mknod": "MKNOD"}[name]
    match around.container:
        case Container.NONE:
            return f"run ocibuild with CAP_{capability}"
        case Container.KUBERNETES:
            return f'in the container\'s securityContext: capabilities: {{add: ["{capability}"]}}'
        case Container.GITLAB:
            return f'in the runner\'s config.toml, [runners.docker]: cap_add = ["{capability}"]'
        case _:
            return f"start the container with --cap-add={capability}"
