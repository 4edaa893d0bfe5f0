from __future__ import annotations

import pytest

from ocibuild.errors import SandboxError
from ocibuild.sandbox.users import User, find_user

PASSWD = """\
# a comment:x:9:9::/:/
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:An App:/home/app:/bin/sh
short:x:5:5
broken:x:no:5::/:/
77:x:78:79::/seventy:/
"""
GROUP = "root:x:0:\napp:x:1001:\nvideo:x:44:app,other\naudio:x:29:app\nbad:x:no:app\n"


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", User(0, 0, [0], "/root")),
        ("root", User(0, 0, [0], "/root")),
        ("app", User(1000, 1001, [1001, 44, 29], "/home/app")),
        ("1000", User(1000, 1001, [1001, 44, 29], "/home/app")),
        ("app:video", User(1000, 44, [44], "/home/app")),
        ("app:50", User(1000, 50, [50], "/home/app")),
        ("4242", User(4242, 0, [0], "")),
        ("4242:video", User(4242, 44, [44], "")),
        ("2147483647", User(2147483647, 0, [0], "")),
        ("+1000:+44", User(1000, 44, [44], "/home/app")),
        ("0001000", User(1000, 1001, [1001, 44, 29], "/home/app")),
        ("77", User(77, 0, [0], "")),
    ],
)
def test_user_is_found_by_name_or_number(text: str, user: User) -> None:
    assert find_user(text, PASSWD, GROUP) == user


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody", "user 'nobody': not in the image's /etc/passwd"),
        ("short", "user 'short'"),
        ("broken", "user 'broken'"),
        ("-1", "user '-1'"),
        ("2147483648", "user '2147483648': IDs go from 0 to 2147483647"),
        ("app:2147483648", "group '2147483648': IDs go from 0 to 2147483647"),
        ("++1", "user '++1'"),
        ("٣", "user '٣'"),
        ("app:none", "group 'none': not in the image's /etc/group"),
    ],
)
def test_user_that_is_not_there_is_refused(text: str, message: str) -> None:
    with pytest.raises(SandboxError) as raised:
        find_user(text, PASSWD, GROUP)
    assert raised.value.message.startswith(message)


def test_only_a_newline_ends_a_line() -> None:
    with pytest.raises(SandboxError):
        find_user("evil", "app:x:1:1:\x0bevil:x:0:0::/:/\x0b:/:/\n", "")
