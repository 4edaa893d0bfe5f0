"""An image as ``docker inspect`` and ``docker history`` show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocibuild.oci import Reference
    from ocibuild.store import StoredImage


def describe_image(image: StoredImage, names: Sequence[Reference]) -> dict[str, Any]:
    """Return an image with docker's names of its members; ``Size`` is that of its blobs, in bytes."""
    config = image.config
    platform = config.platform
    return {
        "Id": image.manifest.config.digest,
        "RepoTags": [name.familiar() for name in names],
        "RepoDigests": sorted({f"{_bare(name)}@{image.descriptor.digest}" for name in names}),
        "Created": config.created,
        "Author": config.author,
        "Architecture": platform.architecture,
        **({"Variant": platform.variant} if platform.variant else {}),
        "Os": platform.os,
        "Size": size_of(image),
        "Config": config.config.to_json(),
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Descriptor": image.descriptor.to_json(),
    }


def describe_history(image: StoredImage) -> list[dict[str, Any]]:
    """Return the history of an image, newest first; ``Size`` is that of the layer's blob, in bytes."""
    sizes = iter([layer.size for layer in image.manifest.layers])
    rows = []
    for number, entry in enumerate(image.config.history):
        last = number == len(image.config.history) - 1
        rows.append(
            {
                "Id": image.manifest.config.digest if last else "<missing>",
                "Created": entry.created,
                "CreatedBy": entry.created_by,
                "Size": 0 if entry.empty_layer else next(sizes, 0),
                "Comment": entry.comment,
            }
        )
    return rows[::-1]


def size_of(image: StoredImage) -> int:
    """Return the bytes of an image's blobs: its config and layers."""
    return image.manifest.config.size + sum(layer.size for layer in image.manifest.layers)


def _bare(name: Reference) -> str:
    """Return the repository as docker shows it: without the default registry and tag."""
    familiar = name.familiar()
    return familiar.removesuffix(f":{name.tag}") if name.tag else familiar.partition("@")[0]
