"""Where the files of a build come from: contexts, what is selected in them, and the digest of that."""

from ocibuild.source.contents import DigestCache
from ocibuild.source.context import LocalContext
from ocibuild.source.digest import Owner, content_digest, owned_by_root
from ocibuild.source.files import Exclusion, Found, Selected, select, walk
from ocibuild.source.ignore import Ignore, load_ignore, parse_ignore

__all__ = [
    "DigestCache",
    "Exclusion",
    "Found",
    "Ignore",
    "LocalContext",
    "Owner",
    "Selected",
    "content_digest",
    "load_ignore",
    "owned_by_root",
    "parse_ignore",
    "select",
    "walk",
]
