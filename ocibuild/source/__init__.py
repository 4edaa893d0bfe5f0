"""Where the files of a build come from: contexts, what is selected in them, and the digest of that.

What comes from elsewhere is in ``git`` and ``http``, which are imported where they are needed.
"""

from ocibuild.source.contents import DigestCache
from ocibuild.source.context import LocalContext
from ocibuild.source.digest import Owner, content_digest, owned_by_root
from ocibuild.source.files import Exclusion, Found, Selected, walk
from ocibuild.source.ignore import Ignore, load_ignore, parse_ignore
from ocibuild.source.listing import Listing, in_one_directory, listing
from ocibuild.source.selection import select

__all__ = [
    "DigestCache",
    "Exclusion",
    "Found",
    "Ignore",
    "Listing",
    "LocalContext",
    "Owner",
    "Selected",
    "content_digest",
    "in_one_directory",
    "listing",
    "load_ignore",
    "owned_by_root",
    "parse_ignore",
    "select",
    "walk",
]
