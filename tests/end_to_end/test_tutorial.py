"""The session that people learn docker from, typed as they type it, with ``ocibuild`` in place of ``docker``."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tests.support.processes import wait_until

if TYPE_CHECKING:
    from tests.support.program import Program

FIRST = """\
# Use an existing image as a base
FROM {base}

# Download and install a dependency
RUN apt-get update && apt-get install -y redis-server

# Tell the image what to do when it starts as a container
EXPOSE 6379
ENV REDIS_OPTIONS="--save ''"
CMD ["redis-server"]
"""
INSTALL = "RUN apt-get update && apt-get install -y redis-server"
FURTHER = "RUN apt-get install -y netcat-openbsd"


def test_the_whole_session(ocibuild: Program, debian_base: str, registry: str) -> None:
    def docker(*words: str, status: int = 0) -> str:
        result = ocibuild.run(*words)
        assert result.returncode == status, result.stderr
        return result.stdout.strip()

    context = ocibuild.context("redis-image", {"Dockerfile": FIRST.format(base=debian_base)})
    image_id = docker("build", "-q", str(context))
    again = ocibuild.build(context)
    assert (again.image_id, again.ran()) == (image_id, [])
    (context / "Dockerfile").write_text(FIRST.format(base=debian_base).replace("EXPOSE", f"{FURTHER}\nEXPOSE"))
    more = ocibuild.build(context)
    assert (more.cached(INSTALL), more.ran("RUN")) == ([f"[2/3] {INSTALL}"], [f"[3/3] {FURTHER}"])
    (context / "Dockerfile").write_text(
        FIRST.format(base=debian_base).replace(INSTALL, f"RUN apt-get update && {FURTHER[4:]}\n{INSTALL}")
    )
    assert len(ocibuild.build(context).ran("RUN")) == 2

    name = f"{registry}/name-{ocibuild.user.account.name}/redis"
    (context / "Dockerfile").write_text(FIRST.format(base=debian_base))
    assert docker("build", "-q", "-t", f"{name}:latest", str(context)) == image_id
    rows = [line.split() for line in docker("images").splitlines()]
    assert rows[0] == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert [name, "latest", image_id[7:19]] in [row[:3] for row in rows]
    (shown,) = json.loads(docker("inspect", name))
    assert "6379/tcp" in shown["Config"]["ExposedPorts"]
    assert "REDIS_OPTIONS=--save ''" in shown["Config"]["Env"]
    assert shown["Config"]["Cmd"] == ["redis-server"]

    server = docker("run", "-d", "--name", "server", name, "redis-server", "--save", "", "--port", "6399")
    wait_until(lambda: "Ready to accept connections" in docker("logs", "server"), seconds=30)
    assert [line.split()[-1] for line in docker("ps").splitlines()] == ["NAMES", "server"]
    assert docker("run", "--rm", name, "redis-cli", "-p", "6399", "set", "key", "value") == "OK"
    assert docker("run", "--rm", name, "redis-cli", "-p", "6399", "get", "key") == "value"
    docker("stop", "server")
    assert docker("ps", "-q") == ""
    assert re.fullmatch(r"Exited \(0\) .*", docker("ps", "-a", "--format", "{{.Status}}", "--filter", f"id={server}"))
    docker("rm", "server")

    by_hand = "apt-get update -q && apt-get install -qy redis-server > /log 2>&1 && redis-server --version"
    said = docker("run", "--name", "by-hand", debian_base, "sh", "-c", by_hand)
    assert "Redis server v=" in said
    assert docker("ps", "-a", "--format", "{{.Names}}") == "by-hand"
    made = docker("commit", "-m", "installed by hand", "-c", 'CMD ["redis-server"]', "by-hand", f"{name}:by-hand")
    assert docker("inspect", "-f", "{{.Id}} {{.Config.Cmd}} {{.Comment}}", f"{name}:by-hand") == (
        f"{made} [redis-server] installed by hand"
    )
    assert "Redis server v=" in docker("run", "--rm", f"{name}:by-hand", "redis-server", "--version")

    docker("push", "-q", f"{name}:by-hand")
    docker("rm", "by-hand")
    docker("rmi", f"{name}:by-hand", f"{name}:latest")
    assert name not in docker("images")
    docker("pull", "-q", f"{name}:by-hand")
    assert docker("inspect", "-f", "{{.Id}}", f"{name}:by-hand") == made
    assert "Redis server v=" in docker("run", "--rm", f"{name}:by-hand", "redis-server", "--version")
    docker("validate", f"{name}:by-hand")
