"""What a stranger may put into a layer, and entries in odd orders: nothing leaves the root, and the last one counts."""

from __future__ import annotations

from tests.layers.row import Row, bad, good, layer, stored
from tests.layers.tar import d, entry, extended, f, h, long_name, node, p, s

INSIDE = {"canary": "d 755 ~0", "canary/file": "f 644 x"}
PASSWD = {"etc": "d 755 ~0", "etc/passwd": "f 644 x"}
UP = "../" * 20


def _paths() -> list[Row]:
    outside = "leaves the root"
    return [
        bad("a name that leaves the root", layer(f("../canary/file", "x")), error=outside),
        bad("a name that leaves the root after a directory", layer(f("a/b/../../../canary/file", "x")), error=outside),
        bad("a directory outside the root", layer(d("../canary")), error=outside),
        bad("a symlink outside the root", layer(s("../canary/file", "x")), error=outside),
        bad("a device outside the root", layer(node("../canary/null", b"3", 1, 3)), error=outside),
        bad(
            "a name in a record that leaves the root",
            layer(extended({"path": "../canary/file"}), f("x")),
            error=outside,
        ),
        bad(
            "a long name that leaves the root",
            layer(long_name("a/" * 60 + "../" * 61 + "canary/file"), f("x")),
            error=outside,
        ),
        bad("a prefix that leaves the root", layer(f("canary/file", "x", prefix=b"..")), error=outside),
        bad(
            "a name of a sparse file that leaves the root",
            layer(
                extended(
                    {
                        "GNU.sparse.name": "../canary/file",
                        "GNU.sparse.numblocks": "1",
                        "GNU.sparse.map": "0,1",
                        "GNU.sparse.size": "1",
                    }
                ),
                f("x", "1"),
            ),
            error=outside,
        ),
        good("a rooted name", layer(f("/canary/file", "x")), tree=INSIDE),
        good(
            "a rooted name from above",
            layer(f("/../../canary/file", "x")),
            tree=INSIDE,
            why="as containerd: the root is its own parent",
        ),
        good("a name with empty parts", layer(f("canary////file", "x")), tree=INSIDE),
        good("a name with dots", layer(f("./canary/./file", "x")), tree=INSIDE),
        good(
            "a symlink upwards and a file through it",
            layer(s("l", UP), f("l/canary/file", "x")),
            tree=INSIDE | {"l": f"l {UP}"},
        ),
        good(
            "a rooted symlink and a file through it",
            layer(s("l", "/etc"), f("l/passwd", "x")),
            tree=PASSWD | {"l": "l /etc"},
        ),
        good(
            "a symlink to /proc/self/root and a file through it",
            layer(s("l", "/proc/self/root"), f("l/etc/passwd", "x")),
            tree={
                "l": "l /proc/self/root",
                "proc": "d 755 ~0",
                "proc/self": "d 755 ~0",
                "proc/self/root": "d 755 ~0",
                "proc/self/root/etc": "d 755 ~0",
                "proc/self/root/etc/passwd": "f 644 x",
            },
        ),
        good(
            "a symlink to an own descriptor and a file through it",
            layer(s("l", "/proc/self/fd/3"), f("l/x", "x")),
            tree={
                "l": "l /proc/self/fd/3",
                "proc": "d 755 ~0",
                "proc/self": "d 755 ~0",
                "proc/self/fd": "d 755 ~0",
                "proc/self/fd/3": "d 755 ~0",
                "proc/self/fd/3/x": "f 644 x",
            },
        ),
        good(
            "a chain of symlinks upwards",
            layer(s("a", ".."), s("b", "a/.."), s("c", "b/.."), f("c/canary/file", "x")),
            tree=INSIDE | {"a": "l ..", "b": "l a/..", "c": "l b/.."},
        ),
        good(
            "a symlink through a directory upwards",
            layer(d("a"), s("a/l", "../.."), f("a/l/canary/file", "x")),
            tree=INSIDE | {"a": "d 755", "a/l": "l ../.."},
        ),
        good(
            "a file in place of a symlink does not go through it",
            layer(s("l", UP + "canary/file"), f("l", "x")),
            tree={"l": "f 644 x"},
        ),
        good(
            "a directory in place of a symlink",
            layer(s("l", UP + "canary"), d("l"), f("l/file", "x")),
            tree={"l": "d 755", "l/file": "f 644 x"},
        ),
        good(
            "a symlink in place of a directory that was filled",
            layer(d("a"), f("a/x"), s("a", UP + "canary"), f("a/file", "x")),
            tree=INSIDE | {"a": f"l {UP}canary"},
        ),
        good(
            "a symlink swapped twice between files",
            layer(d("a"), f("a/1", "x"), s("a", "/etc"), f("a/passwd", "x"), d("a"), f("a/2", "x")),
            tree=PASSWD | {"a": "d 755", "a/2": "f 644 x"},
        ),
        good(
            "a hard link to a symlink out of the root links to the symlink",
            layer(s("l", UP + "canary/file"), h("n", "l"), f("n", "x")),
            tree={"l": f"l {UP}canary/file", "n": "f 644 x"},
        ),
        good(
            "a hard link through a symlink upwards",
            layer(s("l", UP), d("canary"), f("canary/file", "x"), h("n", "l/canary/file")),
            tree={"canary": "d 755", "canary/file": "f 644 x #2", "n": "f 644 x #2", "l": f"l {UP}"},
        ),
        bad(
            "a hard link through a symlink upwards to the machine's file",
            layer(s("l", UP), h("n", "l/canary/file")),
            error="no file",
        ),
        bad("a hard link to a rooted name of the machine", layer(h("n", "/etc/passwd")), error="no file"),
        good(
            "a mode through a symlink",
            layer(s("l", UP + "canary"), d("l/etc", 0o777)),
            tree={"l": f"l {UP}canary", "canary": "d 755 ~0", "canary/etc": "d 777"},
        ),
        good(
            "an extended attribute in place of a symlink",
            layer(s("l", UP + "canary/file"), extended({"SCHILY.xattr.user.a": "b"}), f("l")),
            tree={"l": "f 644 +user.a=b"},
        ),
        good(
            "a whiteout through a symlink upwards",
            layer(s("l", UP + "canary"), f("l/.wh.file")),
            tree={"l": f"l {UP}canary", "canary": "d 755 ~0"},
            umoci="it passes over a whiteout of nothing",
        ),
        good(
            "an opaque whiteout through a rooted symlink",
            layer(s("l", "/etc"), f("l/.wh..wh..opq")),
            tree={"l": "l /etc", "etc": "d 755 ~0"},
            umoci="it passes over a whiteout of nothing",
        ),
        bad("a loop of symlinks", layer(s("a", "b"), s("b", "a"), f("a/x")), error="loop"),
        bad("a symlink to itself", layer(s("a", "a"), f("a/x")), error="loop"),
        good(
            "40 symlinks are followed",
            layer(*(s(f"l{n}", f"l{n + 1}") for n in range(39)), d("l39"), f("l0/x")),
            tree={f"l{n}": f"l l{n + 1}" for n in range(39)} | {"l39": "d 755", "l39/x": "f 644"},
        ),
        bad(
            "41 symlinks are not followed",
            layer(*(s(f"l{n}", f"l{n + 1}") for n in range(41)), f("l0/x")),
            error="40 symbolic links",
        ),
        bad(
            "symlinks that multiply",
            layer(*(s(f"l{n}", f"/l{n + 1}/../l{n + 1}") for n in range(40)), f("l0/x")),
            error="symbolic links",
        ),
        bad("a file below a file", layer(f("a"), f("a/b")), error="not a directory"),
        bad("a file below a device", layer(node("a", b"3", 1, 3), f("a/b")), error="not a directory"),
        bad("a file below a FIFO", layer(p("a"), f("a/b")), error="not a directory"),
        bad("a file below a symlink to a file", layer(f("a"), s("l", "a"), f("l/b")), error="not a directory"),
        bad("a file in place of the root", layer(f(".")), error="root"),
        bad("a symlink in place of the root", layer(s("./", "/etc")), error="root"),
        bad("a hard link in place of the root", layer(h("/", "x")), error="root"),
        bad("a device in place of the root", layer(node("a/..", b"3", 1, 3)), error="root"),
        bad("a file without a name", layer(f("")), error="root"),
        good(
            "a directory without a name is the root",
            layer(d("", 0o711), f("x")),
            tree={".": "d 711", "x": "f 644"},
        ),
        bad("a name of 256 bytes", layer(long_name("n" * 256), f("x")), error="too long"),
        bad("a name of 5000 bytes", layer(long_name("n/" * 2500), f("x")), error="more than 4096"),
        bad("a symlink to 5000 bytes", layer(long_name("n/" * 2500, b"K"), s("x", "y")), error="too long"),
        bad("a symlink to nothing", layer(s("x", "")), error="nowhere"),
        bad("a name with a NUL in its record", layer(extended({"path": b"a\0b"}), f("x")), error="NUL"),
        good(
            "a directory for each two bytes of a long name",
            layer(extended({"path": "d/" * 2040 + "f"}), f("x", "1")),
            tree={"/".join(["d"] * n): "d 755 ~0" for n in range(1, 2041)} | {"d/" * 2040 + "f": "f 644 1"},
            umoci="it joins the name to a path, which is too long then",
        ),
    ]


def _nodes() -> list[Row]:
    return [
        bad("a device that would be a whiteout", layer(node("x", b"3", 0, 0)), error="whiteout"),
        good("a block device 0:0", layer(node("x", b"4", 0, 0)), tree={"x": "b 644 0,0"}),
        bad("an owner that no file can have", layer(extended({"uid": "4294967295"}), f("x")), error="no owner"),
        bad("an owner beyond 32 bits", layer(extended({"gid": "4294967296"}), f("x")), error="no owner"),
        bad("a volume's label", layer(entry("x", b"V")), error="unknown type"),
        bad("a directory of GNU's dumps", layer(entry("x", b"D")), error="unknown type"),
        bad("a file that goes on from another volume", layer(entry("x", b"M")), error="unknown type"),
        bad("a type that nobody knows", layer(entry("x", b"~")), error="unknown type"),
        good("set-user-ID stays with an owner", layer(f("x", mode=0o4755, uid=5)), tree={"x": "f 4755 @5:0"}),
        good(
            "capabilities stay with an owner",
            layer(
                extended(
                    {"SCHILY.xattr.security.capability": bytes.fromhex("0100000200200000000000000000000000000000")}
                ),
                f("x", uid=5),
            ),
            tree={"x": "f 644 @5:0 +security.capability=\x01\0\0\x02\0 " + "\0" * 14},
        ),
        good(
            "a symlink has an owner of its own",
            layer(f("x"), s("l", "x", uid=3, gid=4)),
            tree={"x": "f 644", "l": "l x @3:4"},
        ),
        good(
            "a forged record of an owner counts for nothing",
            layer(extended({"SCHILY.xattr.user.containers.override_stat": "0:0:0777:file"}), f("x", uid=5)),
            tree={"x": "f 644 @5:0"},
            umoci="it puts it",
        ),
    ]


def _orders() -> list[Row]:
    last = "the last entry of a name counts, as in tar(1) and docker"
    return [
        good("a file that comes twice", layer(f("x", "1"), f("x", "2")), tree={"x": "f 644 2"}, why=last),
        good(
            "a file that comes again under another spelling",
            layer(f("a/x", "1"), f("./a//x", "2")),
            tree={"a": "d 755 ~0", "a/x": "f 644 2"},
        ),
        good("a long file that a short one replaces", layer(f("x", "1" * 5000), f("x", "2")), tree={"x": "f 644 2"}),
        good(
            "a directory that comes twice keeps what it holds",
            layer(d("a", 0o700), f("a/x"), d("a", 0o711)),
            tree={"a": "d 711", "a/x": "f 644"},
        ),
        good(
            "a directory that comes again has its later attributes alone",
            layer(extended({"SCHILY.xattr.user.a": "1"}), d("a"), extended({"SCHILY.xattr.user.b": "2"}), d("a")),
            tree={"a": "d 755 +user.a=1 +user.b=2"},
            why="as docker: attributes are put over those that are there",
            umoci="it removes the attributes that were there",
        ),
        good(
            "a directory that comes again has its later owner", layer(d("a", uid=5), d("a", uid=0)), tree={"a": "d 755"}
        ),
        good(
            "a file in place of a directory has its own time",
            layer(d("a", mtime=5), f("a", "x", mtime=9)),
            tree={"a": "f 644 x ~9"},
        ),
        good(
            "a symlink in place of a directory has its own time",
            layer(d("a", mtime=5), s("a", "b", mtime=9)),
            tree={"a": "l b ~9"},
        ),
        good(
            "a file below in place of a directory has its own time",
            layer(d("a"), d("a/b", mtime=5), f("a"), d("a"), f("a/b", "x", mtime=9)),
            tree={"a": "d 755", "a/b": "f 644 x ~9"},
        ),
        good(
            "a directory made anew without an entry forgets the earlier one",
            layer(d("a"), d("a/b", 0o700), f("a"), d("a"), f("a/b/x")),
            tree={"a": "d 755", "a/b": "d 755 ~0", "a/b/x": "f 644"},
        ),
        good(
            "a mode does not go through a symlink that has replaced the directory",
            layer(d("a"), d("a/b", 0o700, mtime=5), d("c"), d("c/b", 0o711), s("a", "c")),
            tree={"a": "l c", "c": "d 755", "c/b": "d 711"},
        ),
        good(
            "a directory by two names has the mode of the last one",
            layer(d("z"), s("a", "z"), d("z/d", 0o700), d("a/d", 0o711)),
            tree={"a": "l z", "z": "d 755", "z/d": "d 711"},
        ),
        good(
            "a directory by two names, the other way around",
            layer(d("z"), s("a", "z"), d("a/d", 0o711), d("z/d", 0o700)),
            tree={"a": "l z", "z": "d 755", "z/d": "d 700"},
        ),
        good(
            "a file by two names is the last one",
            layer(d("z"), s("a", "z"), f("z/x", "1"), f("a/x", "2")),
            tree={"a": "l z", "z": "d 755", "z/x": "f 644 2"},
        ),
        good(
            "a directory by an implied name and then by its own",
            layer(s("a", "z"), f("a/d/x"), d("z", 0o711), d("z/d", 0o700)),
            tree={"a": "l z", "z": "d 711", "z/d": "d 700", "z/d/x": "f 644"},
        ),
        good("a file, a symlink and a FIFO of one name", layer(f("x"), s("x", "y"), p("x")), tree={"x": "p 644"}),
        good(
            "a full directory that a file replaces",
            layer(d("a"), f("a/b/c"), d("a/b/d"), f("a", "x")),
            tree={"a": "f 644 x"},
        ),
        good(
            "a file that a full directory replaces",
            layer(f("a"), d("a"), f("a/b")),
            tree={"a": "d 755", "a/b": "f 644"},
        ),
        good(
            "parents after what they hold",
            layer(f("a/b/c"), d("a/b", 0o700), d("a", 0o711), d(".", 0o750)),
            tree={".": "d 750", "a": "d 711", "a/b": "d 700", "a/b/c": "f 644"},
        ),
        good(
            "entries in no order",
            layer(f("b/x"), f("a/x"), d("b"), f("b/y"), d("a"), f("a/y")),
            tree={"a": "d 755", "a/x": "f 644", "a/y": "f 644", "b": "d 755", "b/x": "f 644", "b/y": "f 644"},
        ),
        good(
            "what aufs kept for itself is not shown",
            layer(d(".wh..wh.plnk"), f(".wh..wh.plnk/9.9"), f(".wh..wh.aufs"), d(".wh..wh.orph"), f("x")),
            tree={"x": "f 644"},
            why="as docker, which leaves names out that begin with .wh..wh.",
            umoci="it takes them for whiteouts of odd names",
        ),
        good("100 files of one name", layer(*(f("x", str(n)) for n in range(100))), tree={"x": "f 644 99"}),
        good(
            "100 directories and files by turns",
            layer(*(entry for n in range(50) for entry in (d("x"), f("x/y"), f("x", str(n))))),
            tree={"x": "f 644 49"},
        ),
        good("100 layers of one name", *(layer(f("x", str(n))) for n in range(100)), tree={"x": "f 644 99"}),
        good(
            "layers that hide each other",
            *(layer(*entries) for _ in range(6) for entries in ([d("a"), f("a/x")], [f(".wh.a")])),
            tree={},
        ),
        good(
            "the same layer twice",
            layer(d("a"), f("a/x", "1")),
            layer(d("a"), f("a/x", "1")),
            tree={"a": "d 755", "a/x": "f 644 1"},
        ),
    ]


def _damaged() -> list[Row]:
    whole = f("x", "1" * 700)
    return [
        bad("no tar", stored(b"this is not a tar".ljust(2048, b".")), error="in place of a number"),
        bad("a wrong checksum", layer(f("x", checksum=b"000001\0 ")), error="checksum"),
        bad("a checksum that is no number", layer(f("x", checksum=b"nonsense")), error="number"),
        bad("the end in a header", stored(whole[:300]), error="ends in"),
        bad("the end in a file", stored(whole[:900]), error="ends in"),
        bad("the end before a file", stored(whole[:512]), error="ends in"),
        bad("the end after an extended header", layer(extended({"path": "x"})), error="ends after an extended header"),
        bad("the end after a long name", layer(long_name("x")), error="ends after an extended header"),
        bad("a block of zeros in the middle", layer(f("x"), bytes(512), f("y")), error="block of zeros"),
        bad("a negative size", layer(f("x", size=b"-0000000001")), error="number"),
        bad("a negative size in base-256", layer(f("x", size=b"\xff" * 12)), error="negative"),
        bad("a size beyond 63 bits", layer(f("x", size=b"\x80" + b"\xff" * 11)), error="63 bits"),
        bad("a size that is not octal", layer(f("x", size=b"00000000009")), error="octal"),
        bad("a size beyond the end", layer(f("x", size=b"77777777777")), error="ends in"),
        bad("a mode with a sign", layer(f("x", mode=b"+000644")), error="number"),
        bad("an owner that is negative", layer(f("x", uid=b"\xff" * 8)), error="negative"),
        bad("a record without a key", layer(extended(b"5 =b\n"), f("x")), error="without a key"),
        bad("a record that is longer than its header", layer(extended(b"99 path=x\n"), f("x")), error="malformed"),
        bad("a record that is shorter than itself", layer(extended(b"5 path=x\n"), f("x")), error="malformed"),
        bad("a record of no length", layer(extended(b"0 path=x\n"), f("x")), error="malformed"),
        bad("a record with a sign", layer(extended(b"+9 path=x\n"), f("x")), error="malformed"),
        bad("a size in a record that is no number", layer(extended({"size": "1e3"}), f("x")), error="number"),
        bad("a size in a record that is negative", layer(extended({"size": "-1"}), f("x")), error="number"),
        bad("a time that is no number", layer(extended({"mtime": "soon"}), f("x")), error="not a time"),
        bad(
            "an extended header of two MiB",
            layer(extended({"comment": "c" * (2 << 20)}), f("x")),
            error="extended header of",
        ),
        bad("a long name of two MiB", layer(long_name("c" * (2 << 20)), f("x")), error="extended header of"),
        bad(
            "an extended header that says it has 8 GiB",
            layer(entry("x", b"x", size=b"77777777777")),
            error="extended header of",
        ),
        bad(
            "an extended attribute of bsdtar that is not base64",
            layer(extended({"LIBARCHIVE.xattr.user.a": "!"}), f("x")),
            error="base64",
        ),
        bad("a second layer that is damaged", layer(f("x")), stored(whole[:900]), error="ends in"),
        bad("a first layer that is damaged", stored(whole[:900]), layer(f("x")), error="ends in"),
    ]


ROWS = [*_paths(), *_nodes(), *_orders(), *_damaged()]
