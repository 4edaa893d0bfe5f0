"""Every dialect of tar and of its compression, and how layers may be stored."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import struct
from typing import TYPE_CHECKING

import zstandard

from ocibuild.oci import mediatypes
from tests.layers.row import Blob, Row, bad, big, good, layer, stored
from tests.layers.tar import END, GNU, MTIME, V7, d, entry, extended, f, h, long_name, node, padded, s

if TYPE_CHECKING:
    from collections.abc import Iterable

X = {"x": "f 644 1"}
LONG = "/".join(["n" * 60] * 4)


def _tree(name: str, line: str) -> dict[str, str]:
    """Return the tree of one file with the directories that it is in."""
    parts = name.split("/")
    return {"/".join(parts[:end]): "d 755 ~0" for end in range(1, len(parts))} | {name: line}


def _headers() -> list[Row]:
    base256 = (1 << 95 | 1).to_bytes(12, "big")
    return [
        good("v7 without a magic", layer(f("x", "1", magic=V7, devmajor=b"", devminor=b"")), tree=X),
        good("a file of type NUL", layer(entry("x", b"\0", b"1")), tree=X),
        good("a contiguous file", layer(entry("x", b"7", b"1")), tree=X, umoci="it does not know the type"),
        good("a directory known by its slash", layer(entry("x/", b"\0", mode=0o700, magic=V7)), tree={"x": "d 700"}),
        good(
            "a file whose name ends in a slash",
            layer(entry("x/", b"0", mode=0o700)),
            tree={"x": "f 700"},
            why="as Go's archive/tar, and so docker and containerd: only the old type NUL makes it a directory",
        ),
        good("a directory with a slash", layer(d("x/", 0o711)), tree={"x": "d 711"}),
        good("a directory without a slash", layer(d("x", 0o711)), tree={"x": "d 711"}),
        good(
            "a directory that says it has a size",
            layer(d("x", size=b"00000001000"), f("y", "1")),
            tree={"x": "d 755", "y": "f 644 1"},
            why="only a file has a body, as in Go",
        ),
        good(
            "a symlink that says it has a size",
            layer(s("x", "y", size=b"00000001000"), f("y", "1")),
            tree={"x": "l y", "y": "f 644 1"},
        ),
        good(
            "a hard link with its target's size",
            layer(f("x", "1"), h("y", "x", size=b"00000000001")),
            tree={"x": "f 644 1 #2", "y": "f 644 1 #2"},
        ),
        good(
            "numbers with spaces before them",
            layer(f("x", "1", size=b"          1", mode=b"    644", uid=b"      5")),
            tree={"x": "f 644 1 @5:0"},
        ),
        good(
            "numbers that end in spaces",
            layer(f("x", "1", size=b"00000000001 ", mode=b"000644 \0", mtime=b"%011o " % MTIME)),
            tree=X,
        ),
        good("numbers that fill their fields", layer(f("x", "1", size=b"000000000001", mode=b"00000644")), tree=X),
        good(
            "numbers that are empty",
            layer(f("x", mode=b"", uid=b"", gid=b"", mtime=b"", size=b"")),
            tree={"x": "f 0 ~0"},
        ),
        good("a mode with the type of the file", layer(f("x", "1", mode=b"0100644")), tree=X),
        good("all bits of the mode", layer(f("x", mode=0o7777), d("y", 0o7777)), tree={"x": "f 7777", "y": "d 7777"}),
        good("a size in base-256", layer(f("x", "1", size=base256)), tree=X),
        good(
            "owners in base-256",
            layer(f("x", uid=(1 << 63 | 3_000_000_000).to_bytes(8, "big"), gid=(1 << 63 | 70_000).to_bytes(8, "big"))),
            tree={"x": "f 644 @3000000000:70000"},
        ),
        good(
            "a time in base-256 before 1970",
            layer(f("x", mtime=(-5).to_bytes(12, "big", signed=True))),
            tree={"x": "f 644 ~-5"},
        ),
        good("a time after 2106", layer(f("x", mtime=5_000_000_000)), tree={"x": "f 644 ~5000000000"}),
        good("a checksum with spaces before it", layer(_rechecked(f("x", "1"), b"%6o\0 ")), tree=X),
        good("a checksum without its NUL", layer(_rechecked(f("x", "1"), b"%07o\0")), tree=X),
        good(
            "names of users and groups count for nothing",
            layer(f("x", "1", uname=b"root\0", gname=b"nobody", uid=7)),
            tree={"x": "f 644 1 @7:0"},
        ),
        good("a name that fills its field", layer(f("n" * 100, "1")), tree={"n" * 100: "f 644 1"}),
        good("a name with a prefix", layer(f("x", "1", prefix=b"a/b")), tree=_tree("a/b/x", "f 644 1")),
        good(
            "a prefix that fills its field",
            layer(f("x", "1", prefix=b"p" * 77 + b"/" + b"q" * 77)),
            tree=_tree("p" * 77 + "/" + "q" * 77 + "/x", "f 644 1"),
        ),
        good(
            "what GNU keeps in place of a prefix",
            layer(f("x", "1", magic=GNU, prefix=b"13727434000\00013727434000")),
            tree=X,
        ),
        good("what follows the NUL of a name", layer(f(b"x\0garbage", "1")), tree=X),
        good(
            "a name of any bytes",
            layer(f(b"\xff\xfe\x01\n\t*?", "1")),
            tree={os.fsdecode(b"\xff\xfe\x01\n\t*?"): "f 644 1"},
        ),
        good("a name of 255 bytes", layer(long_name("n" * 255), f("n", "1")), tree={"n" * 255: "f 644 1"}),
        good(
            "a symlink to any bytes", layer(s("x", b"\xff/\xfe")), tree={"x": f"l {os.fsdecode(bytes([255, 47, 254]))}"}
        ),
        good(
            "devices with large numbers",
            layer(node("x", b"3", 4095, 1_048_575), node("y", b"4", 259, 70_000)),
            tree={"x": "c 644 4095,1048575", "y": "b 644 259,70000"},
        ),
        good(
            "devices in base-256",
            layer(node("x", b"3", 0, 0, devmajor=(1 << 63 | 5).to_bytes(8, "big"))),
            tree={"x": "c 644 5,0"},
        ),
        good("a header without an end of the archive", layer(f("x", "1"), end=b""), tree=X),
        good("an archive that ends in one block of zeros", layer(f("x", "1"), end=bytes(512)), tree=X),
        good("an archive of twenty blocks", layer(f("x", "1"), end=bytes(10240 - 1024)), tree=X),
        good("what follows the end is not read", layer(f("x", "1"), end=END + f("y", "2") + END), tree=X),
        good("garbage after the end", layer(f("x", "1"), end=END + b"garbage"), tree=X),
        good("no entry at all", layer(), tree={}),
        good(
            "no byte at all",
            stored(b""),
            tree={},
        ),
    ]


def _rechecked(block: bytes, form: bytes) -> bytes:
    """Return an entry whose checksum is written otherwise."""
    header = block[:148] + b" " * 8 + block[156:]
    return block[:148] + (form % sum(header[:512])) + block[156:]


def _extended() -> list[Row]:
    return [
        good("GNU's long name", layer(long_name(LONG), f("short", "1", magic=GNU)), tree=_tree(LONG, "f 644 1")),
        good("GNU's long target", layer(long_name(LONG, b"K"), s("x", "short", magic=GNU)), tree={"x": f"l {LONG}"}),
        good(
            "GNU's long name and target together",
            layer(long_name(LONG, b"K"), long_name(LONG), s("x", "y", magic=GNU)),
            tree=_tree(LONG, f"l {LONG}"),
        ),
        good(
            "GNU's long target before a hard link",
            layer(f("x", "1"), long_name("./" * 60 + "x", b"K"), h("y", "z")),
            tree={"x": "f 644 1 #2", "y": "f 644 1 #2"},
        ),
        good("a long path", layer(extended({"path": LONG}), f("short", "1")), tree=_tree(LONG, "f 644 1")),
        good("a long target", layer(extended({"linkpath": LONG}), s("x", "short")), tree={"x": f"l {LONG}"}),
        good(
            "GNU's long name goes before a path",
            layer(long_name("gnu"), extended({"path": "pax"}), f("ustar")),
            tree={"gnu": "f 644"},
            why="as Go's archive/tar, and so docker and containerd",
        ),
        good(
            "GNU's long target goes before a linkpath",
            layer(long_name("gnu", b"K"), extended({"linkpath": "pax"}), s("x", "ustar")),
            tree={"x": "l gnu"},
            why="as Go's archive/tar, and so docker and containerd",
        ),
        good(
            "a path of any bytes",
            layer(extended({"path": b"\xff\n="}), f("y", "1")),
            tree={os.fsdecode(b"\xff\n="): "f 644 1"},
        ),
        good(
            "a size in a record goes before the header's",
            layer(extended({"size": "1"}), _body("x", b"1", size=b"00000000000")),
            tree=X,
        ),
        good(
            "owners in records",
            layer(extended({"uid": "4294967294", "gid": "65534"}), f("x")),
            tree={"x": "f 644 @4294967294:65534"},
        ),
        good(
            "a time with a fraction",
            layer(extended({"mtime": "1600000000.25"}), f("x")),
            tree={"x": "f 644 ~1600000000.25"},
        ),
        good(
            "a time before 1970 with a fraction", layer(extended({"mtime": "-1.5"}), f("x")), tree={"x": "f 644 ~-1.5"}
        ),
        good(
            "records that nobody knows",
            layer(extended({"comment": "c", "VENDOR.x": "y", "atime": "5", "uname": "u"}), f("x", "1")),
            tree=X,
        ),
        good(
            "a record that comes twice",
            layer(extended([("path", "no"), ("path", "x")]), f("y", "1")),
            tree=X,
            why="POSIX: the last one counts",
        ),
        good(
            "a record without a value",
            layer(extended({"path": ""}), f("x", "1")),
            tree=X,
            why="POSIX: the header's counts",
        ),
        good("an extended header without records", layer(extended(b""), f("x", "1")), tree=X),
        good(
            "two extended headers before one entry",
            layer(extended({"uid": "5"}), extended({"gid": "6"}), f("x", "1")),
            tree={"x": "f 644 1 @0:6"},
            why="as Go: the latter replaces the former",
        ),
        good(
            "an extended header of Solaris",
            layer(extended({"path": "x"}, b"X"), f("y", "1")),
            tree=X,
            umoci="Go does not know it",
        ),
        good(
            "global records",
            layer(extended({"uid": "5"}, b"g"), f("x", "1"), d("y")),
            tree={"x": "f 644 1 @5:0", "y": "d 755 @5:0"},
            umoci="it refuses global records",
        ),
        good(
            "global records that an entry has otherwise",
            layer(extended({"uid": "5"}, b"g"), extended({"uid": "6"}), f("x", "1")),
            tree={"x": "f 644 1 @6:0"},
            umoci="it refuses global records",
        ),
        good(
            "global records that are replaced",
            layer(extended({"uid": "5"}, b"g"), extended({"uid": "6"}, b"g"), f("x", "1")),
            tree={"x": "f 644 1 @6:0"},
            umoci="it refuses global records",
        ),
        good(
            "global records of git",
            layer(extended({"comment": "a" * 40}, b"g"), f("x", "1")),
            tree=X,
            umoci="it refuses global records",
        ),
        good(
            "global records at the end",
            layer(f("x", "1"), extended({"comment": "c"}, b"g")),
            tree=X,
            umoci="it refuses global records",
        ),
        good(
            "an extended attribute",
            layer(extended({"SCHILY.xattr.user.a": b"\x01="}), f("x", "1")),
            tree={"x": "f 644 1 +user.a=\x01="},
        ),
        good(
            "an extended attribute of a directory",
            layer(extended({"SCHILY.xattr.user.a": "b"}), d("x")),
            tree={"x": "d 755 +user.a=b"},
        ),
        good(
            "an extended attribute of bsdtar",
            layer(extended({"LIBARCHIVE.xattr.user.a%3D": base64.b64encode(b"b").rstrip(b"=")}), f("x")),
            tree={"x": "f 644 +user.a==b"},
            umoci="Go's archive/tar does not know them",
        ),
        good(
            "an extended attribute of both",
            layer(extended({"LIBARCHIVE.xattr.user.a": "bm8", "SCHILY.xattr.user.a": "b"}), f("x")),
            tree={"x": "f 644 +user.a=b"},
        ),
        good(
            "an extended attribute without a value",
            layer(extended({"SCHILY.xattr.user.a": ""}), f("x")),
            tree={"x": "f 644 +user.a="},
            why="as GNU tar and bsdtar, so that what is packed comes back",
            umoci="Go's archive/tar leaves it out",
        ),
        good(
            "an extended attribute of a symlink",
            layer(extended({"SCHILY.xattr.trusted.a": "b"}), s("x", "y")),
            tree={"x": "l y +trusted.a=b"},
        ),
        good(
            "a label of SELinux belongs to the machine",
            layer(extended({"SCHILY.xattr.security.selinux": "u:r:t:s0"}), f("x", "1")),
            tree=X,
        ),
        good(
            "an access list is left out",
            layer(
                extended({"SCHILY.xattr.system.posix_acl_default": b"\2\0\0\0", "SCHILY.acl.access": "user::rw-"}),
                d("x"),
            ),
            tree={"x": "d 755"},
            why="no layer that docker or BuildKit writes has one",
        ),
        good(
            "an extended attribute that is replaced with its file",
            layer(extended({"SCHILY.xattr.user.a": "b"}), f("x"), f("x", "1")),
            tree=X,
        ),
        bad(
            "an extended attribute of overlayfs",
            layer(extended({"SCHILY.xattr.user.overlay.opaque": "y"}), d("x")),
            error="stacked",
        ),
        bad(
            "an extended attribute of root's overlayfs",
            layer(extended({"SCHILY.xattr.trusted.overlay.redirect": "/etc"}), d("x")),
            error="stacked",
        ),
        bad(
            "an extended attribute of no namespace",
            layer(extended({"SCHILY.xattr.a": "b"}), f("x")),
            error="cannot be part",
        ),
        bad(
            "an extended attribute with a long name",
            layer(extended({"SCHILY.xattr.user." + "n" * 300: "b"}), f("x")),
            error="refuses",
        ),
        bad(
            "an extended attribute of 100 KB",
            layer(extended({"SCHILY.xattr.user.a": "b" * 100_000}), f("x")),
            error="refuses",
        ),
        bad(
            "extended attributes that are too many together",
            layer(extended({f"SCHILY.xattr.user.{number}": "b" * 1000 for number in range(900)}), f("x")),
            error="refuses",
        ),
        bad(
            "a user attribute of a symlink", layer(extended({"SCHILY.xattr.user.a": "b"}), s("x", "y")), error="refuses"
        ),
    ]


def _body(name: str, body: bytes, **fields: bytes) -> bytes:
    """Return an entry whose header says another size than the body has."""
    return entry(name, b"0", b"", **fields) + padded(body)  # type: ignore[arg-type]


def _sparse() -> list[Row]:
    whole = b"A" * 512 + bytes(100_000 - 512) + b"B" * 512
    tree = {"x": f"f 644 {big(whole)}"}
    data = b"A" * 512 + b"B" * 512
    old = _old_sparse([(0, 512), (100_000, 512)], len(whole), data)
    many = [(number * 1024, 512) for number in range(50)]
    striped = b"".join(b"C" * 512 + bytes(512) for _ in range(50))
    v1 = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "x",
        "GNU.sparse.realsize": str(len(whole)),
    }
    zero = [
        ("GNU.sparse.size", str(len(whole))),
        ("GNU.sparse.numblocks", "2"),
        ("GNU.sparse.offset", "0"),
        ("GNU.sparse.numbytes", "512"),
        ("GNU.sparse.offset", "100000"),
        ("GNU.sparse.numbytes", "512"),
    ]
    one = {
        "GNU.sparse.size": str(len(whole)),
        "GNU.sparse.numblocks": "2",
        "GNU.sparse.map": "0,512,100000,512",
        "GNU.sparse.name": "x",
    }
    body = padded(b"2\n0\n512\n100000\n512\n") + data
    return [
        good("a sparse file in an old header", layer(old), tree=tree, umoci="it does not know the type"),
        good(
            "a sparse file in an old header with an extension",
            layer(_old_sparse(many, 51_200, b"C" * 25_600)),
            tree={"x": f"f 644 {big(striped)}"},
            umoci="it does not know the type",
        ),
        good("a sparse file of version 0.0", layer(extended(zero), f("x", data)), tree=tree),
        good("a sparse file of version 0.1", layer(extended(one), f("GNUSparseFile.0/x", data)), tree=tree),
        good("a sparse file of version 1.0", layer(extended(v1), f("GNUSparseFile.0/x", body)), tree=tree),
        good(
            "a sparse file that is one hole",
            layer(
                extended({"GNU.sparse.size": "4096", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "4096,0"}), f("x")
            ),
            tree={"x": f"f 644 {big(bytes(4096))}"},
        ),
        good(
            "a sparse file that ends in a hole",
            layer(
                extended({"GNU.sparse.size": "4096", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,1"}), f("x", "1")
            ),
            tree={"x": f"f 644 {big(b'1' + bytes(4095))}"},
        ),
        good(
            "a sparse file between other files",
            layer(f("a", "1"), old, f("b", "2")),
            tree=tree | {"a": "f 644 1", "b": "f 644 2"},
            umoci="it does not know the type",
        ),
        good(
            "a hard link to a sparse file",
            layer(old, h("y", "x")),
            tree={"x": f"{tree['x']} #2", "y": f"{tree['x']} #2"},
            umoci="it does not know the type",
        ),
        bad(
            "a sparse file whose pieces overlap",
            layer(
                extended({"GNU.sparse.size": "9", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,2,1,2"}),
                f("x", "1234"),
            ),
            error="overlaps",
        ),
        bad(
            "a sparse file whose pieces are out of order",
            layer(
                extended({"GNU.sparse.size": "9", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "5,1,0,1"}),
                f("x", "12"),
            ),
            error="overlaps",
        ),
        bad(
            "a sparse file that is longer than it says",
            layer(
                extended({"GNU.sparse.size": "9", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "8,2"}), f("x", "12")
            ),
            error="leaves the file",
        ),
        bad(
            "a sparse file with less than its map says",
            layer(
                extended({"GNU.sparse.size": "9", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,9"}), f("x", "12")
            ),
            error="does not match",
        ),
        bad(
            "a sparse file of 8 EiB",
            layer(
                extended({"GNU.sparse.size": str(2**63 - 1), "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,1"}),
                f("x", "1"),
            ),
            error="image-size",
        ),
        bad(
            "a sparse file of 1.0 with half a map", layer(extended(v1), f("x", padded(b"9\n1\n"))), error="not a number"
        ),
        bad(
            "a sparse file of 1.0 with a map of a billion",
            layer(extended(v1), f("x", padded(b"1000000000\n"))),
            error="more than",
        ),
        bad(
            "a sparse file of 1.0 with a line that never ends", layer(extended(v1), f("x", b"1" * 1024)), error="number"
        ),
        bad(
            "an old sparse header that goes on past the end",
            layer(_old_sparse(many, 51_200, b"")[:600], end=b""),
            error="ends in",
        ),
    ]


def _old_sparse(pieces: list[tuple[int, int]], size: int, data: bytes) -> bytes:
    """Return a sparse file with its map in the header, four pieces there and 21 in each block that follows."""
    numbers = [b"%011o\0%011o\0" % piece for piece in pieces]
    rest = numbers[4:]
    blocks = [
        b"".join(rest[at : at + 21]).ljust(504, b"\0") + (b"\1" if at + 21 < len(rest) else b"\0") + bytes(7)
        for at in range(0, len(rest), 21)
    ]
    table = bytearray(entry("x", b"S", size=b"%011o" % len(data), magic=GNU))
    table[386:482] = b"".join(numbers[:4]).ljust(96, b"\0")
    table[482] = bool(rest)
    table[483:495] = b"%011o\0" % size
    return _rechecked(bytes(table), b"%06o\0 ") + b"".join(blocks) + padded(data)


def _stored() -> list[Row]:
    plain = f("x", "1") + d("y") + END
    tree = X | {"y": "d 755"}
    ends = [plain[:512], plain[512:700], plain[700:]]
    zstd = zstandard.ZstdCompressor(write_checksum=True).compress
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress
    skip = struct.pack("<II", 0x184D2A5F, 5) + b"12345"

    def gz(blob: bytes) -> Blob:
        return Blob(plain, blob)

    def zst(blob: bytes) -> Blob:
        return Blob(plain, blob, mediatypes.OCI_LAYER_ZSTD)

    members = [gzip.compress(part) for part in ends]
    named = io.BytesIO()
    with gzip.GzipFile("layer.tar", "wb", 9, named, 1234) as file:
        file.write(plain)
    umoci = {"umoci": "the version in Debian does not know zstd"}
    return [
        good("a layer that is not compressed", Blob(plain, plain, mediatypes.OCI_LAYER), tree=tree),
        good(
            "docker's media type",
            Blob(plain, gzip.compress(plain), "application/vnd.docker.image.rootfs.diff.tar.gzip"),
            tree=tree,
            umoci="it knows OCI's media types alone",
        ),
        good(
            "a layer that may not be distributed",
            Blob(plain, gzip.compress(plain), "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
            tree=tree,
        ),
        good("several gzip members", gz(b"".join(members)), tree=tree),
        good("empty gzip members between others", gz(gzip.compress(b"").join(members)), tree=tree),
        good(
            "a gzip member for each byte",
            gz(b"".join(gzip.compress(plain[at : at + 1]) for at in range(len(plain)))),
            tree=tree,
        ),
        good("gzip with a name and a time", gz(named.getvalue()), tree=tree),
        good("gzip that is not compressed", gz(gzip.compress(plain, 0)), tree=tree),
        good(
            "gzip with zeros after it",
            gz(gzip.compress(plain) + bytes(1000)),
            tree=tree,
            umoci="Go takes zeros for a bad header",
        ),
        good(
            "eStargz",
            _estargz([f("x", "1"), d("y")]),
            tree=tree | {"stargz.index.json": "f 444 {}"},
            why="its table is a file of the layer, which docker and containerd unpack too",
        ),
        good("one zstd frame", zst(zstd(plain)), tree=tree, **umoci),
        good("several zstd frames", zst(b"".join(map(zstd, ends))), tree=tree, **umoci),
        good("zstd frames without a size", zst(b"".join(map(unsized, ends))), tree=tree, **umoci),
        good("skippable zstd frames around others", zst(skip + skip.join(map(zstd, ends)) + skip), tree=tree, **umoci),
        good("zstd:chunked", _zstd_chunked([f("x", "1"), d("y")]), tree=tree, **umoci),
        bad("gzip that ends too early", gz(gzip.compress(plain)[:-3]), error="ends too early"),
        bad("gzip with garbage after it", gz(gzip.compress(plain) + b"garbage"), error="gzip"),
        bad("gzip with a wrong checksum", gz(gzip.compress(plain)[:-8] + bytes(8)), error="gzip"),
        bad("a plain tar that says it is gzip", gz(plain), error="gzip"),
        bad(
            "a gzip that says it is plain",
            Blob(gzip.compress(plain), gzip.compress(plain), mediatypes.OCI_LAYER),
            error="tar",
        ),
        bad("a gzip that says it is zstd", zst(gzip.compress(plain)), error="zstd"),
        bad("gzip in gzip", Blob(gzip.compress(plain), gzip.compress(gzip.compress(plain))), error="tar"),
        bad("zstd that ends too early", zst(zstd(plain)[:-3]), error="zstd"),
        bad("zstd with garbage after it", zst(zstd(plain) + b"garbage"), error="zstd"),
        bad(
            "zstd with a skippable frame of 4 GiB",
            zst(zstd(plain) + struct.pack("<II", 0x184D2A50, 0xFFFFFFFF)),
            error="zstd",
        ),
        bad("zstd with a window of 2 TiB", zst(b"\x28\xb5\x2f\xfd\x00\xf8" + bytes(64)), error="zstd"),
    ]


def _estargz(entries: Iterable[bytes]) -> Blob:
    """Return an eStargz: a gzip member for each entry and for the table, and a footer that is an empty member."""
    members = [*entries, f("stargz.index.json", "{}", mode=0o444), END]
    blob = b"".join(map(gzip.compress, members))
    offset = len(b"".join(map(gzip.compress, members[:-2])))
    extra = b"SG" + struct.pack("<H", 22) + b"%016xSTARGZ" % offset
    footer = (
        b"\x1f\x8b\x08\x04"
        + bytes(5)
        + b"\xff"
        + struct.pack("<H", len(extra))
        + extra
        + b"\x01\0\0\xff\xff"
        + bytes(8)
    )
    return Blob(b"".join(members), blob + footer)


def _zstd_chunked(entries: Iterable[bytes]) -> Blob:
    """Return a zstd:chunked: a frame for each entry, then skippable frames with the table and a footer."""
    members = [*entries, END]
    frames = b"".join(map(zstandard.compress, members))
    table = zstandard.compress(json.dumps({"version": 1, "entries": []}).encode())
    footer = struct.pack("<QQQQ", len(frames) + 8, len(table), 27, 1) + b"GNUlInUx"
    skipped = b"".join(struct.pack("<II", 0x184D2A50, len(content)) + content for content in (table, footer))
    return Blob(b"".join(members), frames + skipped, mediatypes.OCI_LAYER_ZSTD)


ROWS = [*_headers(), *_extended(), *_sparse(), *_stored()]
