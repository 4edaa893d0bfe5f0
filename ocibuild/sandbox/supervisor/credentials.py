"""The user and group IDs of processes, and how the set*id(2) family changes them: pure rules of credentials(7)."""

from __future__ import annotations

from errno import EAGAIN, EINVAL, EPERM

from ocibuild.values import NamedTuple

UNCHANGED = 0xFFFFFFFF
"""The ID -1: leave it as it is."""

_MOST = 1 << 16  # sets of IDs that one step may use: they are never forgotten


class Refused(Exception):
    """The call fails with ``number``, as in errno(3)."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class IDs(NamedTuple):
    """Real, effective, saved and file-system ID."""

    real: int
    effective: int
    saved: int
    fs: int

    @classmethod
    def all(cls, number: int) -> IDs:
        """Return four times the same."""
        return cls(number, number, number, number)

    def set(self, number: int, *, privileged: bool) -> IDs:
        """See setuid(2)."""
        _check(number)
        if privileged:
            return IDs.all(number)
        _allow(number in (self.real, self.saved))
        return self._replace(effective=number, fs=number)

    def set_real_effective(self, real: int, effective: int, *, privileged: bool) -> IDs:
        """See setreuid(2): the saved ID follows where the real one was set, or the effective one to another."""
        _allow(privileged or real in (UNCHANGED, self.real, self.effective))
        _allow(privileged or effective in (UNCHANGED, *self[:3]))
        new_real = self.real if real == UNCHANGED else real
        new_effective = self.effective if effective == UNCHANGED else effective
        follows = real != UNCHANGED or effective not in (UNCHANGED, self.real)
        return IDs(new_real, new_effective, new_effective if follows else self.saved, new_effective)

    def set_all(self, real: int, effective: int, saved: int, *, privileged: bool) -> IDs:
        """See setresuid(2): where nothing is new, the file-system ID stays too."""
        changes = real not in (UNCHANGED, self.real) or saved not in (UNCHANGED, self.saved)
        if not changes and (effective == UNCHANGED or effective == self.effective == self.fs):
            return self
        for number in (real, effective, saved):
            _allow(privileged or number in (UNCHANGED, *self[:3]))
        new_effective = self.effective if effective == UNCHANGED else effective
        return IDs(
            self.real if real == UNCHANGED else real,
            new_effective,
            self.saved if saved == UNCHANGED else saved,
            new_effective,
        )

    def set_fs(self, number: int, *, privileged: bool) -> IDs:
        """See setfsuid(2), which never fails."""
        return self._replace(fs=number) if number != UNCHANGED and (privileged or number in self) else self

    def executing(self, owner: int) -> IDs:
        """Return the IDs after a set-user-ID (or set-group-ID) program of ``owner`` was executed."""
        return IDs(self.real, owner, owner, owner)


class Credentials(NamedTuple):
    """Who a process is: its user IDs, group IDs and supplementary groups.

    ``keeps`` says whether it keeps root's capabilities when it becomes another; see PR_SET_KEEPCAPS in prctl(2).
    """

    user: IDs
    group: IDs
    groups: tuple[int, ...]
    keeps: bool = False

    @classmethod
    def of(cls, uid: int, gid: int, groups: tuple[int, ...]) -> Credentials:
        """Return those of a process that was started as this user."""
        return cls(IDs.all(uid), IDs.all(gid), groups)

    @property
    def privileged(self) -> bool:
        """Whether it may do what root may."""
        return self.user.effective == 0

    @property
    def may_set_ids(self) -> bool:
        """Whether it may become anybody."""
        return self.privileged or self.keeps

    def is_in(self, gid: int) -> bool:
        """Say whether it is a member of a group."""
        return gid == self.group.fs or gid in self.groups


class Book:
    """Every set of IDs that a step's processes have or had, by a small number; 0 is that of the first process."""

    def __init__(self, first: Credentials) -> None:
        self._all = [first]
        self._numbers = {first: 0}

    def __getitem__(self, number: int) -> Credentials:
        return self._all[number] if 0 <= number < len(self._all) else self._all[0]

    def number(self, credentials: Credentials) -> int:
        """Return the number of a set; raise Refused where a step invents more than makes sense."""
        number = self._numbers.get(credentials)
        if number is None:
            number = len(self._all)
            if number == _MOST:
                raise Refused(EAGAIN)
            self._all.append(credentials)
            self._numbers[credentials] = number
        return number


def _check(number: int) -> None:
    if number == UNCHANGED:
        raise Refused(EINVAL)


def _allow(allowed: bool) -> None:  # noqa: FBT001  (it is all that there is)
    if not allowed:
        raise Refused(EPERM)
