"""Templates in the language of Go's text/template, as ``--format`` takes them: over values as JSON has them.

A template is read once (``parser``), which finds what is wrong with it, and then written out for each value
(``rendering``). Left out are ``define``, ``template``, ``block``, ``break``, ``continue`` and the escaping functions,
each refused by name. See https://pkg.go.dev/text/template.
"""

from ocibuild.cli.gotemplate.template import Template

__all__ = ["Template"]
