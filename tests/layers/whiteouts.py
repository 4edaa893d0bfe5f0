"""Whiteouts in every order, and what is between layers: image-spec, layer.md, "Representing Changes"."""

from __future__ import annotations

from itertools import permutations

from tests.layers.row import Row, bad, good, layer
from tests.layers.tar import d, f, h, node, p, s

BELOW = layer(d("a"), f("a/one", "1"), d("a/sub"), f("a/sub/deep", "2"), f("f", "below"), s("s", "a"))
TREE = {
    "a": "d 755",
    "a/one": "f 644 1",
    "a/sub": "d 755",
    "a/sub/deep": "f 644 2",
    "f": "f 644 below",
    "s": "l a",
}
OPAQUE = ".wh..wh..opq"


def tree(*gone: str, **more: str) -> dict[str, str]:
    """Return the tree below without some names and what they hold, and with more."""
    left = {name: line for name, line in TREE.items() if not any(f"{name}/".startswith(f"{one}/") for one in gone)}
    return left | more


def _plain() -> list[Row]:
    gone = tree
    return [
        good("a whiteout removes a file", BELOW, layer(f(".wh.f")), tree=gone("f")),
        good("a whiteout removes a symlink and not what it leads to", BELOW, layer(f(".wh.s")), tree=gone("s")),
        good("a whiteout removes a directory with all it holds", BELOW, layer(f(".wh.a")), tree=gone("a")),
        good("a whiteout of a name that nobody has", BELOW, layer(f(".wh.nobody")), tree=TREE),
        good(
            "a whiteout in a directory that nobody has",
            BELOW,
            layer(f("no/.wh.body")),
            tree=gone(no="d 755 ~0"),
            umoci="it passes over a whiteout of nothing, and docker makes its directory",
        ),
        good("a whiteout deep below", BELOW, layer(f("a/sub/.wh.deep")), tree=gone("a/sub/deep")),
        good("a whiteout after the entry of its directory", BELOW, layer(d("a"), f("a/.wh.one")), tree=gone("a/one")),
        good("a whiteout before the entry of its directory", BELOW, layer(f("a/.wh.one"), d("a")), tree=gone("a/one")),
        good("a whiteout that comes twice", BELOW, layer(f(".wh.f"), f(".wh.f")), tree=gone("f")),
        good("a whiteout in two layers", BELOW, layer(f(".wh.f")), layer(f(".wh.f")), tree=gone("f")),
        good("a whiteout that is a directory", BELOW, layer(d(".wh.f")), tree=gone("f"), why="as containerd: by name"),
        good("a whiteout that is a symlink", BELOW, layer(s(".wh.f", "/x")), tree=gone("f"), why="as containerd"),
        good("a whiteout that is a hard link", BELOW, layer(h(".wh.f", "f")), tree=gone("f"), why="as containerd"),
        good("a whiteout that is a device", BELOW, layer(node(".wh.f", b"3", 0, 0)), tree=gone("f")),
        good("a whiteout that has a content", BELOW, layer(f(".wh.f", "text" * 999)), tree=gone("f")),
        good("a whiteout of another owner and mode", BELOW, layer(f(".wh.f", mode=0o4777, uid=9)), tree=gone("f")),
        good("a whiteout with dots in its name", BELOW, layer(f("./a/../a/./.wh.one")), tree=gone("a/one")),
        good("a whiteout with a slash before it", BELOW, layer(f("/a/.wh.one")), tree=gone("a/one")),
        good("a whiteout of a name that begins with a dot", layer(f(".h")), layer(f(".wh..h")), tree={}),
        good("a whiteout of a name with a dash and spaces", layer(f("- x")), layer(f(".wh.- x")), tree={}),
        good("a name that has the prefix in the middle", layer(f("a.wh.b", "x")), tree={"a.wh.b": "f 644 x"}),
        good(
            "a name that is almost the prefix",
            layer(f(".wh", "x"), f(".who")),
            tree={".wh": "f 644 x", ".who": "f 644"},
        ),
        good("a whiteout in the lowest layer", layer(f(".wh.f")), tree={}),
        good("a whiteout below its own layer's file", layer(f("f", "1"), f(".wh.f")), tree={"f": "f 644 1"}),
        good(
            "a file that comes back after its whiteout",
            BELOW,
            layer(f(".wh.f")),
            layer(f("f", "new")),
            tree=gone(f="f 644 new"),
        ),
        good(
            "a directory that comes back is empty",
            BELOW,
            layer(f(".wh.a")),
            layer(d("a", 0o700)),
            tree=gone("a", a="d 700"),
        ),
        good(
            "a directory that comes back by what is in it",
            BELOW,
            layer(f(".wh.a")),
            layer(f("a/new", "x")),
            tree=gone("a") | {"a": "d 755 ~0", "a/new": "f 644 x"},
        ),
        good(
            "a whiteout between two files of one name",
            layer(f("f", "1")),
            layer(f(".wh.f")),
            layer(f("f", "2")),
            layer(f(".wh.f")),
            tree={},
        ),
        good(
            "what was removed in between does not come back with its directory",
            BELOW,
            layer(f("a/.wh.one")),
            layer(d("a"), f("a/two", "2")),
            tree=gone("a/one") | {"a/two": "f 644 2"},
        ),
        good(
            "a whiteout in a directory that is hidden itself leaves it empty",
            BELOW,
            layer(f("a/.wh.one"), f(".wh.a")),
            tree=gone("a") | {"a": "d 755 ~0"},
            why="the whiteout's own parent is in the layer, so it is there",
            umoci="it removes what is there as entries come, so the later whiteout wins",
        ),
        good("a file over a directory needs no whiteout", BELOW, layer(f("a", "x")), tree=gone("a", a="f 644 x")),
        good("a symlink over a directory needs no whiteout", BELOW, layer(s("a", "f")), tree=gone("a", a="l f")),
        good("a directory over a file needs no whiteout", BELOW, layer(d("f")), tree=gone(f="d 755")),
        good(
            "a directory over a symlink replaces it",
            BELOW,
            layer(d("s"), f("s/x")),
            tree=gone(s="d 755") | {"s/x": "f 644"},
        ),
        good("a FIFO over a file", BELOW, layer(p("f")), tree=gone(f="p 644")),
        good("a device over a file", BELOW, layer(node("f", b"3", 1, 3, mode=0o666)), tree=gone(f="c 666 1,3")),
        good(
            "a directory over a file over a directory is empty",
            BELOW,
            layer(f("a")),
            layer(d("a")),
            tree=gone("a", a="d 755"),
        ),
        good(
            "a file below a name that was a file",
            BELOW,
            layer(d("f"), f("f/x", "1")),
            tree=gone(f="d 755") | {"f/x": "f 644 1"},
        ),
        good(
            "a whiteout and a directory below a name that was a file",
            BELOW,
            layer(f(".wh.f"), f("f/x", "1")),
            tree=gone(f="d 755 ~0") | {"f/x": "f 644 1"},
        ),
        bad("a whiteout of nothing", layer(f("a/.wh.")), error="hides nothing"),
        bad("a whiteout of the parent", layer(f("a/.wh..")), error="hides nothing"),
        bad("a whiteout of the parent's parent", layer(f("a/.wh...")), error="hides nothing"),
        bad("a whiteout of a whiteout", layer(f(".wh..wh.f")), error="hides nothing"),
        bad("a file in a whiteout", layer(d(".wh.a"), f(".wh.a/x")), error="hides nothing"),
        bad("a whiteout outside the root", layer(f("../.wh.canary")), error="leaves the root"),
    ]


def _opaque() -> list[Row]:
    empty = tree("a", a="d 755")
    one = tree("a") | {"a": "d 755", "a/new": "f 644 n"}
    return [
        good("an opaque directory shows nothing from below", BELOW, layer(d("a"), f(f"a/{OPAQUE}")), tree=empty),
        good(
            "an opaque whiteout without its directory's entry",
            BELOW,
            layer(f(f"a/{OPAQUE}")),
            tree=empty,
            why="the directory is the one below, so its mode and time stay",
        ),
        good("an opaque whiteout before its directory's entry", BELOW, layer(f(f"a/{OPAQUE}"), d("a")), tree=empty),
        *(
            good(
                f"an opaque whiteout, its directory and its file in the order {order}",
                BELOW,
                layer(*({"O": f(f"a/{OPAQUE}"), "D": d("a"), "F": f("a/new", "n")}[one] for one in order)),
                tree=one,
            )
            for order in map("".join, permutations("ODF"))
        ),
        good("an opaque whiteout and a whiteout beside it", BELOW, layer(f("a/.wh.one"), f(f"a/{OPAQUE}")), tree=empty),
        good(
            "an opaque whiteout hides a directory below, not the layer's own one",
            BELOW,
            layer(f(f"a/{OPAQUE}"), f("a/sub/new", "n")),
            tree=tree("a") | {"a": "d 755", "a/sub": "d 755 ~0", "a/sub/new": "f 644 n"},
        ),
        good(
            "an opaque directory in an opaque directory",
            BELOW,
            layer(f(f"a/{OPAQUE}"), f(f"a/sub/{OPAQUE}")),
            tree=tree("a") | {"a": "d 755", "a/sub": "d 755 ~0"},
            umoci="it passes over a whiteout of nothing, and docker makes its directory",
        ),
        good("an opaque directory deep below", BELOW, layer(f(f"a/sub/{OPAQUE}")), tree=tree("a/sub/deep")),
        good(
            "an opaque whiteout where there is nothing below",
            BELOW,
            layer(f(f"n/{OPAQUE}"), f("n/x")),
            tree=tree(n="d 755 ~0") | {"n/x": "f 644"},
        ),
        good(
            "an opaque whiteout in the lowest layer",
            layer(f(f"n/{OPAQUE}"), d("n"), f("n/x")),
            tree={"n": "d 755", "n/x": "f 644"},
        ),
        good(
            "an opaque whiteout over a file makes a directory",
            BELOW,
            layer(f(f"f/{OPAQUE}")),
            tree=tree(f="d 755 ~0"),
            umoci="it passes over an opaque whiteout of what is no directory",
        ),
        good(
            "an opaque whiteout counts for all layers below",
            BELOW,
            layer(f("a/two", "2")),
            layer(f(f"a/{OPAQUE}")),
            tree=empty,
        ),
        good(
            "a layer above an opaque directory adds to it",
            BELOW,
            layer(d("a"), f(f"a/{OPAQUE}")),
            layer(f("a/new", "n")),
            tree=one,
        ),
        good("an opaque root hides everything below", BELOW, layer(f(OPAQUE), f("new", "n")), tree={"new": "f 644 n"}),
        good(
            "an opaque root after the layer's own files",
            BELOW,
            layer(d("a"), f("new", "n"), f(OPAQUE)),
            tree={"a": "d 755", "new": "f 644 n"},
        ),
        good("an opaque root that hides two layers", BELOW, layer(f("m")), layer(f(OPAQUE)), tree={}),
        good(
            "an opaque root with a layer above it",
            BELOW,
            layer(f(OPAQUE)),
            layer(f("a/x", "1")),
            tree={"a": "d 755 ~0", "a/x": "f 644 1"},
        ),
        good("an opaque root called with dots", BELOW, layer(f(f"./{OPAQUE}"), f("new", "n")), tree={"new": "f 644 n"}),
        good("an opaque root called from above", BELOW, layer(f(f"/{OPAQUE}"), f("new", "n")), tree={"new": "f 644 n"}),
        good(
            "an opaque whiteout that is a directory",
            BELOW,
            layer(d(f"a/{OPAQUE}")),
            tree=empty,
            why="as containerd: by name",
        ),
        good(
            "an opaque whiteout through a symlink of its own layer",
            BELOW,
            layer(s("l", "a"), d("a"), f(f"l/{OPAQUE}")),
            tree=tree("a", a="d 755", l="l a"),
        ),
        good("an opaque whiteout through a symlink of the layer below", BELOW, layer(f(f"s/{OPAQUE}")), tree=empty),
        bad("an opaque whiteout with something below it", layer(f(f"{OPAQUE}/x")), error="hides nothing"),
    ]


def _orders() -> list[Row]:
    """Return a row for each order of a whiteout and what its layer has at the same name."""
    made = {
        "file": (f("a", "new"), {"a": "f 644 new"}),
        "directory": (d("a", 0o700), {"a": "d 700"}),
        "symlink": (s("a", "f"), {"a": "l f"}),
        "FIFO": (p("a"), {"a": "p 644"}),
        "device": (node("a", b"4", 7, 1), {"a": "b 644 7,1"}),
        "directory without an entry": (f("a/x", "n"), {"a": "d 755 ~0", "a/x": "f 644 n"}),
    }
    rows = []
    for what, (entry, shown) in made.items():
        expected = tree("a") | shown
        rows += [
            good(f"a whiteout before the {what} of its name", BELOW, layer(f(".wh.a"), entry), tree=expected),
            good(f"a whiteout after the {what} of its name", BELOW, layer(entry, f(".wh.a")), tree=expected),
            good(
                f"a whiteout before and after the {what} of its name",
                BELOW,
                layer(f(".wh.a"), entry, f(".wh.a")),
                tree=expected,
            ),
        ]
    return rows


def _replaced() -> list[Row]:
    """Return what only whiteouts that are remembered can get right: the layer itself changes its mind."""
    why = "a whiteout hides what the layers below have, whatever else its layer has at that name in between"
    return [
        good(
            "a whiteout, a file, then a directory",
            BELOW,
            layer(f(".wh.a"), f("a"), d("a")),
            tree=tree("a", a="d 755"),
            why=why,
        ),
        good(
            "a file, a whiteout, then a directory",
            BELOW,
            layer(f("a"), f(".wh.a"), d("a")),
            tree=tree("a", a="d 755"),
            why=why,
        ),
        good(
            "a whiteout, a directory, a file, then a directory",
            BELOW,
            layer(f(".wh.a"), d("a"), f("a"), d("a")),
            tree=tree("a", a="d 755"),
            why=why,
        ),
        good(
            "an opaque directory, a file, then a directory",
            BELOW,
            layer(d("a"), f(f"a/{OPAQUE}"), f("a"), d("a")),
            tree=tree("a", a="d 755"),
            why=why,
        ),
        good(
            "a whiteout in a directory that is replaced and made anew",
            BELOW,
            layer(f("a/.wh.one"), f("a"), d("a")),
            tree=tree("a/one"),
            why="overlayfs and docker merge a directory that is there at the end with the one below",
            umoci="it removes the directory below for the file",
        ),
        good(
            "a file over the lower directory, then a directory",
            BELOW,
            layer(f("a"), d("a"), f("a/x")),
            tree=tree() | {"a/x": "f 644"},
            why="as docker and containerd on overlayfs: only the last entry counts",
            umoci="it removes the directory below for the file",
        ),
        good(
            "a whiteout beside a symlink to what it hides",
            BELOW,
            layer(s("n", "a"), f(".wh.a")),
            tree=tree("a", n="l a"),
        ),
        good(
            "a whiteout through a symlink that is replaced after it",
            BELOW,
            layer(s("n", "a"), d("a"), f("n/.wh.one"), f("n", "x")),
            tree=tree("a/one", n="f 644 x"),
        ),
        good(
            "a whiteout of a file and one of the same name deeper",
            BELOW,
            layer(f(".wh.f"), f("a/.wh.f"), f("a/f", "x")),
            tree=tree("f") | {"a/f": "f 644 x"},
        ),
        good(
            "a whiteout after a hard link to another name",
            BELOW,
            layer(f("n", "x"), h("f", "n"), f(".wh.f")),
            tree=tree(f="f 644 x #2", n="f 644 x #2"),
        ),
        bad("a hard link to what the layer removes", BELOW, layer(f(".wh.f"), h("n", "f")), error="hard link"),
        bad(
            "a hard link to what a layer between removes", BELOW, layer(f(".wh.f")), layer(h("n", "f")), error="no file"
        ),
    ]


def _modes() -> list[Row]:
    below = layer(d(".", 0o711), d("a", 0o1770, uid=5, gid=6), d("a/b", 0o700, mtime=7), f("a/b/c", "1"))
    kept = {".": "d 711", "a": "d 1770 @5:6", "a/b": "d 700 ~7", "a/b/c": "f 644 1"}
    return [
        good(
            "a directory keeps its mode and owner when something below it changes",
            below,
            layer(f("a/b/new", "n")),
            tree=kept | {"a/b/new": "f 644 n"},
        ),
        good(
            "a directory keeps them when something below it is removed",
            below,
            layer(f("a/b/.wh.c")),
            tree={name: line for name, line in kept.items() if name != "a/b/c"},
        ),
        good(
            "a directory keeps them through several layers",
            below,
            layer(f("a/x")),
            layer(f("a/b/y")),
            layer(f("a/b/z")),
            tree=kept | {"a/x": "f 644", "a/b/y": "f 644", "a/b/z": "f 644"},
        ),
        good(
            "a directory that was hidden in between does not keep them",
            below,
            layer(f(".wh.a")),
            layer(f("a/b/new", "n")),
            tree={".": "d 711", "a": "d 755 ~0", "a/b": "d 755 ~0", "a/b/new": "f 644 n"},
        ),
        good(
            "a directory that was a file in between does not keep them",
            below,
            layer(f("a")),
            layer(f("a/b/new", "n")),
            tree={".": "d 711", "a": "d 755 ~0", "a/b": "d 755 ~0", "a/b/new": "f 644 n"},
            umoci="it refuses a file where a parent must be",
        ),
        good(
            "an entry of a directory gives it another mode and keeps what it holds",
            below,
            layer(d("a", 0o755)),
            tree=kept | {"a": "d 755"},
        ),
        good("the root keeps its mode without an entry", below, layer(f("x")), tree=kept | {"x": "f 644"}),
        good(
            "the root gets the mode of the last entry",
            below,
            layer(d("./", 0o755), f("x")),
            tree={name: line for name, line in kept.items() if name != "."} | {"x": "f 644"},
        ),
        good("the root has an owner", layer(d(".", 0o700, uid=1, gid=2)), tree={".": "d 700 @1:2"}),
        good(
            "a directory of set-group-ID hands nothing down",
            layer(d("a", 0o2755, gid=9), d("a/b"), f("a/b/c")),
            tree={"a": "d 2755 @0:9", "a/b": "d 755", "a/b/c": "f 644"},
        ),
        good(
            "a directory that nobody may enter is filled",
            layer(d("a", 0), f("a/x", "1"), d("a/b", 0), f("a/b/y")),
            tree={"a": "d 0", "a/x": "f 644 1", "a/b": "d 0", "a/b/y": "f 644"},
        ),
        good(
            "an entry of a directory after what it holds",
            layer(f("a/b/c"), d("a/b", 0o700), d("a", 0o711)),
            tree={"a": "d 711", "a/b": "d 700", "a/b/c": "f 644"},
        ),
    ]


def _links() -> list[Row]:
    copied = "a layer cannot link to another one, so it is a copy"
    return [
        good(
            "a hard link to a file of the layer below",
            BELOW,
            layer(h("n", "f")),
            tree=tree(n="f 644 below"),
            why=copied,
            umoci="it unpacks to one directory, where it is a link",
        ),
        good(
            "two hard links to one file of the layer below",
            BELOW,
            layer(h("n", "f"), h("a/m", "f")),
            tree=tree(n="f 644 below #2") | {"a/m": "f 644 below #2"},
            why=copied,
            umoci="it unpacks to one directory",
        ),
        good(
            "a hard link to a file of two layers below",
            BELOW,
            layer(f("x")),
            layer(h("n", "a/one")),
            tree=tree(n="f 644 1", x="f 644"),
            why=copied,
            umoci="it unpacks to one directory",
        ),
        good(
            "a hard link in place of the layer's own earlier file",
            BELOW,
            layer(f("n", "old"), h("n", "f")),
            tree=tree(n="f 644 below"),
            why=copied,
            umoci="it unpacks to one directory",
        ),
        good(
            "a hard link that a file of its layer replaces",
            BELOW,
            layer(h("n", "f"), f("n", "own")),
            tree=tree(n="f 644 own"),
        ),
        good(
            "a hard link in place of a directory below",
            BELOW,
            layer(h("a", "f")),
            tree=tree("a", a="f 644 below"),
            umoci="it unpacks to one directory",
        ),
        good(
            "a hard link through a symlink below",
            BELOW,
            layer(h("n", "s/one")),
            tree=tree(n="f 644 1"),
            why="as a path of the tree: containerd resolves it in the root",
            umoci="it unpacks to one directory",
        ),
        good(
            "a hard link to a symlink is one more symlink",
            BELOW,
            layer(h("n", "s")),
            tree=tree(n="l a"),
            umoci="it unpacks to one directory",
        ),
        good(
            "a hard link before its file",
            layer(h("n", "x"), f("x", "1")),
            tree={"n": "f 644 1 #2", "x": "f 644 1 #2"},
            why="entries may come in any order",
            umoci="it needs the file first",
        ),
        good(
            "a hard link to a file that is replaced after it",
            layer(f("x", "1"), h("n", "x"), f("x", "2")),
            tree={"n": "f 644 1", "x": "f 644 2"},
        ),
        good(
            "a hard link to itself",
            layer(f("x", "1"), h("x", "x")),
            tree={"x": "f 644 1"},
            umoci="it removes the file before it links to it",
        ),
        good(
            "a hard link to a hard link",
            layer(f("x", "1"), h("y", "x"), h("z", "y")),
            tree=dict.fromkeys("xyz", "f 644 1 #3"),
        ),
        good("a hard link to a FIFO", layer(p("x"), h("y", "x")), tree={"x": "p 644 #2", "y": "p 644 #2"}),
        good(
            "a hard link with a slash before its target",
            layer(f("x", "1"), h("y", "/x")),
            tree={"x": "f 644 1 #2", "y": "f 644 1 #2"},
        ),
        good(
            "a hard link to a target with dots",
            layer(f("x", "1"), h("d/y", "d/../x")),
            tree={"d": "d 755 ~0", "x": "f 644 1 #2", "d/y": "f 644 1 #2"},
        ),
        bad("a hard link to a directory below", BELOW, layer(h("n", "a")), error="no file"),
        bad("a hard link to a directory of its layer", layer(d("x"), h("n", "x")), error="no file"),
        bad("a hard link to nothing", BELOW, layer(h("n", "nobody")), error="no file"),
        bad("a hard link to the root", layer(h("n", ".")), error="no file"),
        bad("a hard link that leaves the root", layer(h("n", "../canary/file")), error="leaves the root"),
        bad("two hard links to each other", layer(h("x", "y"), h("y", "x")), error="no file"),
    ]


def _symlinks() -> list[Row]:
    below = layer(d("usr"), d("usr/lib", 0o711), f("usr/lib/x", "1"), s("lib", "usr/lib"))
    kept = {"usr": "d 755", "usr/lib": "d 711", "usr/lib/x": "f 644 1", "lib": "l usr/lib"}
    return [
        good(
            "a file behind a symlink of the layer below",
            below,
            layer(f("lib/y", "2")),
            tree=kept | {"usr/lib/y": "f 644 2"},
            why="as docker, containerd and tar: a symlink to a directory that has no entry is followed",
        ),
        good(
            "a whiteout behind a symlink of the layer below",
            below,
            layer(f("lib/.wh.x")),
            tree={name: line for name, line in kept.items() if name != "usr/lib/x"},
        ),
        good(
            "a directory's entry replaces the symlink below",
            below,
            layer(d("lib"), f("lib/y", "2")),
            tree=kept | {"lib": "d 755", "lib/y": "f 644 2"},
        ),
        good(
            "a symlink to the root, in two layers",
            layer(s("r", "/")),
            layer(f("r/r/r/x", "1")),
            tree={"r": "l /", "x": "f 644 1"},
        ),
        good(
            "a symlink above the root, in two layers",
            layer(s("up", "../../..")),
            layer(f("up/canary/file", "1")),
            tree={"up": "l ../../..", "canary": "d 755 ~0", "canary/file": "f 644 1"},
        ),
        good(
            "a dangling symlink below",
            layer(s("l", "/no/where")),
            layer(f("l/x", "1")),
            tree={"l": "l /no/where", "no": "d 755 ~0", "no/where": "d 755 ~0", "no/where/x": "f 644 1"},
            why="as containerd: the directories that it leads to are made in the root",
        ),
        good(
            "a symlink replaced by a directory between",
            below,
            layer(f(".wh.lib"), d("lib")),
            layer(f("lib/y", "2")),
            tree=kept | {"lib": "d 755", "lib/y": "f 644 2"},
        ),
        good(
            "a directory replaced by a symlink between",
            BELOW,
            layer(d("n"), s("a", "n")),
            layer(f("a/x", "1")),
            tree=tree("a", a="l n", n="d 755") | {"n/x": "f 644 1"},
        ),
        bad("a symlink below to a file", layer(f("x"), s("l", "x")), layer(f("l/y")), error="not a directory"),
        bad("a symlink below to itself", layer(s("l", "l")), layer(f("l/y")), error="loop"),
        bad("two symlinks below to each other", layer(s("k", "l"), s("l", "k")), layer(f("l/y")), error="loop"),
    ]


ROWS = [*_plain(), *_opaque(), *_orders(), *_replaced(), *_modes(), *_links(), *_symlinks()]
