"""``--format``: what ocibuild makes of a template is what docker makes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.docker import Docker
    from tests.support.program import Program

TEXT = """\
FROM {base}
ENV WHO="whole world"
LABEL org.example.of=peers maintainer=<nobody@example.org>
EXPOSE 6379 53/udp
VOLUME /data
USER app
ENTRYPOINT ["sh", "-c"]
CMD ["echo hello"]
"""

OF_AN_IMAGE = {
    "the ID": "{{.Id}}",
    "names": "{{range .RepoDigests}}{{println .}}{{end}}",
    "a list": "{{.Config.Env}} {{.Config.Cmd}} {{.Config.Entrypoint}}",
    "an empty list": "{{.Config.OnBuild}}",
    "sets": "{{.Config.ExposedPorts}} {{.Config.Volumes}}",
    "a map": "{{.Config.Labels}}",
    "JSON": "{{json .Config.Cmd}} {{json .Config.Labels}} {{json .RootFS.Layers}}",
    "an index": '{{index .Config.Labels "maintainer"}}{{index .Config.Labels "absent"}} {{index .Config.Env 0}}',
    "a join": '{{join .Config.Env "; "}}',
    "a split": '{{(index (split .Id ":") 1) | len}}',
    "a range": "{{range $i, $e := .Config.Env}}{{if $i}}, {{end}}{{$e}}{{end}}",
    "a range over a map": '{{range $k, $v := .Config.Labels}}{{$k}}={{printf "%q" $v}} {{end}}',
    "a range over a set": "{{range $port, $_ := .Config.ExposedPorts}}{{$port}} {{end}}",
    "conditions": '{{if eq .Os "linux"}}yes{{else}}no{{end}}{{if .Config.User}} {{.Config.User}}{{end}}',
    "else if": '{{if eq .Os "plan9"}}a{{else if and .Id (ne .Os "aix")}}b{{else}}c{{end}}',
    "with": "{{with .Config}}{{.User}}{{end}}{{with .Config.OnBuild}}{{.}}{{else}} none{{end}}",
    "letters": "{{upper .Os}} {{lower .Id}} {{title .Os}} {{truncate .Id 9}} [{{pad .Os 1 2}}]",
    "printf": '{{printf "%s|%-8s|%8s|%v|%t|%d" .Os .Os .Os .Config.Env true 7}}',
    "print": '{{print 1 2 "x" 3}} {{println .Os 1}}',
    "trimmed": "a   {{- .Os -}}   b {{/* nothing */}}",
    "slices": "{{slice .Id 7 19}} {{len .Config.Env}}",
    "variables": "{{$c := .Config}}{{$x := 0}}{{range $c.Env}}{{$x = .}}{{end}}{{$x}}",
    "comparisons": '{{lt 1 2}} {{ge "b" "a"}} {{eq .Os "a" "linux"}} {{not .Os}} {{or "" .Os}}',
}
OF_A_LIST = {
    "members": "{{.ID}} {{.Tag}}",
    "a table": r"table {{.ID}}\t{{.Repository}}\t{{.Tag}}",
    "a table of one column": "table {{.Repository}}:{{.Tag}}",
}


@pytest.fixture(scope="module")
def image(shared: Program, docker: Docker, busybox_base: str, registry: str) -> str:
    """Build an image, which docker pulls."""
    name = f"{registry}/peers/formats:{shared.user.account.name}"
    shared.build(
        shared.context("formats", {"Dockerfile": TEXT.format(base=busybox_base)}), "-t", name, "--load", "--push"
    )
    docker("pull", "--quiet", name)
    return name


@pytest.mark.parametrize("template", OF_AN_IMAGE.values(), ids=OF_AN_IMAGE)
def test_a_template_gives_the_same_of_an_image(template: str, image: str, shared: Program, docker: Docker) -> None:
    assert shared.check("inspect", "--format", template, image).strip() == docker("inspect", "-f", template, image)


@pytest.mark.parametrize("template", OF_A_LIST.values(), ids=OF_A_LIST)
def test_a_template_gives_the_same_of_a_list(template: str, image: str, shared: Program, docker: Docker) -> None:
    words = ("images", "--filter", f"reference={image}", "--format", template)
    assert _lines(shared.check(*words)) == _lines(docker(*words))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def test_members_that_a_script_may_ask_for_are_there(image: str, shared: Program, docker: Docker) -> None:
    """All of docker's members but those of its own storage."""
    (theirs,), (ours,) = json.loads(docker("inspect", image)), json.loads(shared.check("inspect", image))
    of_containers = {"Container", "ContainerConfig", "GraphDriver", "Metadata", "VirtualSize"}
    assert theirs.keys() - ours.keys() <= of_containers
    of_containers = {"Hostname", "Domainname", "Image", "Tty", "OpenStdin", "StdinOnce", "ArgsEscaped"}
    assert {name for name in theirs["Config"].keys() - ours["Config"].keys() if "Attach" not in name} <= of_containers
