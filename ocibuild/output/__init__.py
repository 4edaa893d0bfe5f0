"""Results to outputs: the documents of an image, what ``--output`` asks for, and how an image is described.

What only some outputs need, ``rewrite`` and ``tree``, is imported by those.
"""

from ocibuild.output.describe import describe_config, describe_history, describe_image
from ocibuild.output.encoding import Encoding
from ocibuild.output.image import assemble, write_image
from ocibuild.output.spec import Kind, OutputSpec, check_destination, check_outputs, parse_output

__all__ = [
    "Encoding",
    "Kind",
    "OutputSpec",
    "assemble",
    "check_destination",
    "check_outputs",
    "describe_config",
    "describe_history",
    "describe_image",
    "parse_output",
    "write_image",
]
