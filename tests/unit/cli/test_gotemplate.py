"""Templates of ``--format``; what docker makes of the usual ones is in ``tests/peers/test_formats.py``."""

from __future__ import annotations

import pytest

from ocibuild.cli.gotemplate import Template
from ocibuild.errors import UsageError

IMAGE = {
    "Id": "sha256:0123456789abcdef",
    "Size": 1234,
    "Config": {
        "Env": ["PATH=/bin", "WHO=you"],
        "Cmd": ["sh", "-c", "echo"],
        "Entrypoint": [],
        "Labels": {"b": "2", "a": "1", "with.dot": "x"},
        "ExposedPorts": {"6379/tcp": {}},
        "User": "",
        "Healthcheck": None,
    },
    "Ready": True,
    "Share": 0.5,
}

GIVES = {
    "text alone": ("text", "text"),
    "a member": ("{{.Id}}", "sha256:0123456789abcdef"),
    "members in one another": ("{{.Config.User}}|{{ .Config.Env }}", "|[PATH=/bin WHO=you]"),
    "a number": ("{{.Size}} {{.Share}}", "1234 0.5"),
    "a truth": ("{{.Ready}}", "true"),
    "an empty list": ("{{.Config.Entrypoint}}", "[]"),
    "a map in the order of its keys": ("{{.Config.Labels}}", "map[a:1 b:2 with.dot:x]"),
    "a set": ("{{.Config.ExposedPorts}}", "map[6379/tcp:{}]"),
    "nothing": ("{{.Config.Healthcheck}}", "<no value>"),
    "JSON": ("{{json .Config.Cmd}}", '["sh","-c","echo"]'),
    "JSON of nothing": ("{{json .Config.Healthcheck}}", "null"),
    "JSON through a pipe": ("{{.Config.Labels | json}}", '{"b":"2","a":"1","with.dot":"x"}'),
    "JSON of text with signs of HTML": ('{{json "a<b>&c"}}', '"a<b>&c"'),
    "an index": ("{{index .Config.Env 1}}", "WHO=you"),
    "an index by name": ('{{index .Config.Labels "with.dot"}}', "x"),
    "an index that is not there": ('[{{index .Config.Labels "absent"}}]', "[]"),
    "a label that is not there": ("[{{.Config.Labels.absent}}]", "[<no value>]"),
    "an index in an index": ('{{index .Config "Env" 0}}', "PATH=/bin"),
    "a length": ("{{len .Config.Env}} {{len .Id}} {{len .Config.Labels}}", "2 23 3"),
    "a slice": ("{{slice .Id 7 11}}|{{slice .Config.Cmd 1}}", "0123|[-c echo]"),
    "joined": ('{{join .Config.Cmd " "}}', "sh -c echo"),
    "split": ('{{index (split .Id ":") 0}}', "sha256"),
    "cases": ('{{upper "a b"}} {{lower "A B"}} {{title "one two"}}', "A B a b One Two"),
    "cut": ("{{truncate .Id 9}}", "sha256:01"),
    "padded": ('[{{pad "x" 1 2}}][{{pad "" 1 2}}]', "[ x  ][]"),
    "printed": ('{{print "a" 1 2 "b" true}}', "a1 2btrue"),
    "printed in lines": ('{{println "a" 1}}', "a 1\n"),
    "formatted by verbs": ('{{printf "%s=%d %v %q" "a" 7 .Config.Env "x"}}', 'a=7 [PATH=/bin WHO=you] "x"'),
    "formatted with widths": ('{{printf "%-4s|%4s|%04d|%.2f|%x|%%" "a" "b" 42 0.5 255}}', "a   |   b|0042|0.50|ff|%"),
    "if": ("{{if .Ready}}yes{{else}}no{{end}}", "yes"),
    "if empty": ("{{if .Config.User}}yes{{else}}no{{end}}", "no"),
    "if not": ("{{if not .Config.Entrypoint}}none{{end}}", "none"),
    "else if": ("{{if .Config.User}}a{{else if .Ready}}b{{else}}c{{end}}", "b"),
    "else if to the end": ("{{if .Config.User}}a{{else if .Config.Entrypoint}}b{{else}}c{{end}}d", "cd"),
    "with": ("{{with .Config}}{{len .Env}}{{$.Size}}{{end}}", "21234"),
    "with nothing": ("{{with .Config.Healthcheck}}{{.Test}}{{else}}none{{end}}", "none"),
    "range": ("{{range .Config.Env}}{{.}};{{end}}", "PATH=/bin;WHO=you;"),
    "range over nothing": ("{{range .Config.Entrypoint}}x{{else}}none{{end}}", "none"),
    "range with places": ("{{range $i, $e := .Config.Cmd}}{{if $i}},{{end}}{{$i}}={{$e}}{{end}}", "0=sh,1=-c,2=echo"),
    "range over a map": ("{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}} {{end}}", "a:1 b:2 with.dot:x "),
    "range over ports": ("{{range $p, $_ := .Config.ExposedPorts}}{{$p}}{{end}}", "6379/tcp"),
    "range a number of times": ("{{range 3}}{{.}}{{end}}", "012"),
    "one variable for a range": ("{{range $e := .Config.Cmd}}{{$e}},{{end}}", "sh,-c,echo,"),
    "a variable": ("{{$x := .Config}}{{len $x.Env}}{{$x.User}}", "2"),
    "a variable set anew": ("{{$x := 1}}{{range .Config.Env}}{{$x = .}}{{end}}{{$x}}", "WHO=you"),
    "equal": ('{{eq .Size 1234}} {{eq .Id "x"}} {{eq 1 2 1}} {{ne 1 2}}', "true false true true"),
    "of other kinds": ('{{eq .Size "1234"}} {{eq true 1}}', "false false"),
    "ordered": ('{{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1 2}}', "true true true false"),
    "decided by the first": ("[{{and .Config.User .Absent}}] {{or .Ready .Absent}}", "[] true"),
    "decided by the last": ('{{and .Ready .Size}} {{or .Config.User "none"}}', "1234 none"),
    "brackets": ("{{if and .Ready (eq .Size 1234)}}yes{{end}}", "yes"),
    "a member of brackets": ("{{len (index .Config.Env 0)}} {{(.Config).User}}", "9 "),
    "trimmed": ("a \n {{- .Size -}} \n b", "a1234b"),
    "not trimmed": ("a {{.Size}} b", "a 1234 b"),
    "a negative number": ("{{-3}} {{eq -3 -3}}", "-3 true"),
    "a comment": ("a{{/* {{.Absent}} */}}b", "ab"),
    "a trimmed comment": ("a {{- /* x */ -}} b", "ab"),
    "raw text": (r"{{`a\n{{`}}", r"a\n{{"),
    "escapes": (r'{{"a\tb"}}', "a\tb"),
    "braces alone": ("{ } }} {", "{ } }} {"),
    "constants": ("{{true}} {{0x10}} {{1.5}} {{'a'}}", "true 16 1.5 97"),
}


@pytest.mark.parametrize(("template", "expected"), GIVES.values(), ids=GIVES)
def test_what_a_template_gives(template: str, expected: str) -> None:
    assert Template(template).render(IMAGE) == expected


NO_TEMPLATE = {
    "not closed": ("{{.Id", "lacks the }}"),
    "empty": ("{{}}", "an action is empty"),
    "an unknown function": ("{{nope .Id}}", "there is no function 'nope'; there are and, "),
    "a function that is not supported": ("{{html .Id}}", "there is no function 'html'"),
    "define": ('{{define "x"}}{{end}}', "{{define}} is not supported"),
    "break": ("{{range .X}}{{break}}{{end}}", "{{break}} is not supported"),
    "no end": ("{{if .Id}}x", "{{if}} has no {{end}}"),
    "no end after else": ("{{if .Id}}x{{else}}y", "{{if}} has no {{end}}"),
    "an end too many": ("{{.Id}}{{end}}", "unexpected {{end}}"),
    "an else too many": ("{{if .Id}}a{{else}}b{{else}}c{{end}}", "{{if}} has no {{end}}"),
    "no condition": ("{{if}}x{{end}}", "{{if}} lacks what it is about"),
    "else with another word": ("{{if .Id}}a{{else range .X}}b{{end}}", "unexpected 'range' after else"),
    "an unknown variable": ("{{$x}}", "there is no variable $x"),
    "a variable of a block": ("{{if .Id}}{{$x := 1}}{{end}}{{$x}}", "there is no variable $x"),
    "an unknown variable set": ("{{$x = 1}}", "there is no variable $x"),
    "an argument of no function": ("{{.Id 1}}", "what has arguments must be a function"),
    "a pipe to no function": ("{{.Id | 1}}", "what follows a | must be a function"),
    "a pipe to nothing": ("{{.Id |}}", "a command is missing"),
    "an open bracket": ("{{len (.Id}}", "a ) is missing"),
    "a closing bracket": ("{{len .Id)}}", "unexpected ')'"),
    "an odd sign": ("{{.Id & 1}}", "unexpected '&'"),
    "text without an end": ('{{"abc}}', "unexpected '\"'"),
    "very deep": ("{{if .X}}" * 60, "lie in one another"),
}


@pytest.mark.parametrize(("template", "problem"), NO_TEMPLATE.values(), ids=NO_TEMPLATE)
def test_what_is_no_template_is_refused_by_name(template: str, problem: str) -> None:
    with pytest.raises(UsageError) as error:
        Template(template)
    assert str(error.value).startswith("--format: ")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


UNFIT = {
    "no such member": ("{{.Absent}}", "there is no member 'Absent'; there are Config, Id, "),
    "a member of text": ("{{.Id.X}}", "there is no member 'X' in sha256:"),
    "a member of nothing": ("{{.Config.Healthcheck.Test}}", "there is no member 'Test' in <no value>"),
    "an index out of the list": ("{{index .Config.Env 7}}", "out of a list of 2"),
    "an index of a number": ("{{index .Size 0}}", "index cannot be applied"),
    "a length of a number": ("{{len .Size}}", "1234 has no length"),
    "too few arguments": ("{{join .Config.Env}}", "join cannot be applied"),
    "a join of text": ('{{join .Id ","}}', "is not a list"),
    "a range over text": ("{{range .Id}}{{end}}", "range cannot go through sha256:"),
    "an order of kinds": ('{{lt 1 "a"}}', "cannot be compared"),
    "a verb for another kind": ('{{printf "%d" "x"}}', "%d is not for x"),
    "a verb without argument": ('{{printf "%s"}}', "there is no argument for %s"),
    "an argument without verb": ('{{printf "x" 1}}', "more arguments"),
}


@pytest.mark.parametrize(("template", "problem"), UNFIT.values(), ids=UNFIT)
def test_what_does_not_fit_the_value_is_one_line(template: str, problem: str) -> None:
    with pytest.raises(UsageError) as error:
        Template(template).render(IMAGE)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_headings_go_through_what_changes_values() -> None:
    headings = {"ID": "IMAGE ID", "Labels": "LABELS"}
    template = Template('{{truncate .ID 3}}|{{join .Labels ","}}|{{upper .ID}}|{{.ID | lower}}')
    assert template.heading(headings) == "IMAGE ID|LABELS|IMAGE ID|IMAGE ID"
