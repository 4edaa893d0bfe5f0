"""Results to outputs: the documents of an image, what ``--output`` asks for, and how an image is described."""

from ocibuild.output.describe import describe_history, describe_image, size_of
from ocibuild.output.image import assemble, write_image
from ocibuild.output.spec import Kind, OutputSpec, check_destination, check_output, parse_output

__all__ = [
    "Kind",
    "OutputSpec",
    "assemble",
    "check_destination",
    "check_output",
    "describe_history",
    "describe_image",
    "parse_output",
    "size_of",
    "write_image",
]
