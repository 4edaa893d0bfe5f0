"""Images copied from anywhere to anywhere, without being unpacked: registries, layouts, archives, the store."""

from ocibuild.transfer.copying import copy
from ocibuild.transfer.ends import Ends
from ocibuild.transfer.load import LoadedImage, load
from ocibuild.transfer.locations import Location, has_transport, parse_location
from ocibuild.transfer.plan import Plan, Selection, make_plan
from ocibuild.transfer.push import Push, push
from ocibuild.transfer.transfer import transfer

__all__ = [
    "Ends",
    "LoadedImage",
    "Location",
    "Plan",
    "Push",
    "Selection",
    "copy",
    "has_transport",
    "load",
    "make_plan",
    "parse_location",
    "push",
    "transfer",
]
