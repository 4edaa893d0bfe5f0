"""Dockerfiles made by a grammar: mostly right, with odd words in all places where words can stand."""

from __future__ import annotations

from hypothesis import strategies as st

_ODD = "ab1=:/.,-$ {}[]\"'\\#<`\n\t\r\v\xa0\u00e9\u2003%*?!~"
ODD_TEXT = st.text(alphabet=_ODD, max_size=20)
WORD = st.one_of(
    st.sampled_from(
        ["a", "/b/", "$V", "${V:-x}", "'q q'", '"q"', "a\\ b", "caf\u00e9", "<<EOF", "<<-'E F'", "x=y", "[a"]
    ),
    st.text(alphabet=_ODD, min_size=1, max_size=8),
)
WORDS = st.lists(WORD, max_size=4).map(" ".join)
JSON = st.lists(WORD.map(lambda word: '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'), max_size=3).map(
    lambda items: "[" + ", ".join(items) + "]"
)
PAIRS = st.lists(st.tuples(WORD, WORD).map("=".join), min_size=1, max_size=3).map(" ".join)
_FLAGS = (
    "mount network security from chown chmod link parents exclude checksum keep-git-dir unpack platform interval "
    "retries nothing"
)
_NAMES = (
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME "
    "WORKDIR run Copy FORM #"
)
FLAG = st.builds(
    "--{}{}".format,
    st.sampled_from(["", *_FLAGS.split()]),
    st.one_of(
        st.just(""),
        st.sampled_from(["=none", "=true", "=type=cache,target=/x", "=3", "=1s", "='a b'", "=a\\'b", "=${", '="']),
        WORD.map("={}".format),
    ),
)
NAMES = st.sampled_from(["", "ONBUILD RUN", "ONBUILD COPY", "HEALTHCHECK CMD", "# a comment", *_NAMES.split()])
REST = st.one_of(WORDS, WORDS, JSON, PAIRS, ODD_TEXT)
GAP = st.sampled_from([" ", " ", " ", "  ", "\t", " \\\n ", " \\\n# c\n", " \\\n\n"])
DOCUMENT = st.sampled_from(["", "", "", "\nEOF", "\nx\nEOF", "\n\tx\n\tE F\nEOF", "\nEOF\nE F", "\n\\\n# c\nEOF"])


@st.composite
def instructions(draw: st.DrawFn) -> str:
    """An instruction, with documents after it where it may open some."""
    flags = draw(st.lists(FLAG, max_size=2))
    words = [draw(NAMES), *flags, draw(REST)]
    return draw(GAP).join(words) + draw(DOCUMENT)


DIRECTIVES = st.sampled_from(
    ["", "", "", "# escape=`\n", "# syntax=x\n", "# check=skip=all\n# escape=\\\n", "#!/x\n# check=a\n", "\n", "# c\n"]
)
DOCKERFILES = st.builds(
    lambda directives, lines, end: directives + end.join(["FROM a", *lines]) + end,
    DIRECTIVES,
    st.lists(instructions(), max_size=5),
    st.sampled_from(["\n", "\n", "\r\n"]),
)
