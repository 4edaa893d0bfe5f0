from __future__ import annotations

import click
import pytest

from ocibuild.cli.flags import without_values


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("words", nargs=-1)
@click.option("--rm", is_flag=True)
@click.option("-i", "--interactive", is_flag=True)
@click.option("-H/-h", "--human/--no-human", "human", is_flag=True, default=True)
@click.option("-e", "--env", multiple=True)
@click.option("-v", "verbose", count=True)
def passing(**_: object) -> None:
    """Pass words on."""


mixed = click.Command("mixed", params=passing.params)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--rm=true image --rm=true", "--rm image --rm=true"),
        ("--rm=false --interactive=1 image", "--interactive image"),
        ("-i=T -e --rm=true image", "-i -e --rm=true image"),
        ("-ie --rm=true image", "-ie --rm=true image"),
        ("-ieA --rm=true image", "-ieA --rm image"),
        ("-vv --rm=F image", "-vv image"),
        ("--env=A=b --rm=0 image", "--env=A=b image"),
        ("--human=false -H=false image", "-h -h image"),
        ("-- --rm=true", "-- --rm=true"),
        ("- --rm=true", "- --rm=true"),
        ("--unknown=true image", "--unknown=true image"),
    ],
)
def test_a_flag_with_a_value_is_there_or_not(given: str, expected: str) -> None:
    found = without_values(passing, given.split())
    assert found == expected.split()


def test_options_after_arguments_are_read_where_the_command_reads_them() -> None:
    assert without_values(mixed, ["image", "--rm=false", "-i=true"]) == ["image", "-i"]


def test_what_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(click.UsageError, match="--rm=maybe: neither true nor false"):
        without_values(passing, ["--rm=maybe"])
