"""The network that a request names, describes or gives as a configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from planner.errors import FieldProblem, InvalidInput
from planner.jobs.architecture import Transformer
from planner.jobs.config_packing import Stored, stored_from_config
from planner.jobs.convnet import ConvNet
from planner.jobs.huggingface import MAX_CHARACTERS, architecture_from_config, picture_from_config
from planner.jobs.known.pictures import PICTURES, Picture, known_picture
from planner.jobs.presets import ARCHITECTURES
from planner.services.requests.base import Key, Name, Request, whole

SHAPE = {  # the request's field → the architecture's
    "layers": "num_layers",
    "hidden": "hidden",
    "heads": "num_heads",
    "kv_heads": "num_kv_heads",
    "head_width": "head_width",
    "ffn": "ffn",
    "vocab": "vocab",
    "gated": "gated",
    "tied_embeddings": "tied_embeddings",
    "max_positions": "max_positions",
    "experts": "num_experts",
    "experts_per_token": "experts_per_token",
    "encoder_layers": "encoder_layers",
}
NEEDED = ("layers", "hidden", "heads", "ffn", "vocab")


class NetworkRequest(Request):
    """A network by its name, by a configuration, or by its shape; one for pictures by its name and their size."""

    name: Name | None = None

    architecture: Key | None = None
    config: Annotated[str, Field(min_length=2, max_length=MAX_CHARACTERS)] | None = None
    layers: Annotated[int, *whole(1, 10_000)] | None = None
    hidden: Annotated[int, *whole(1, 1_000_000)] | None = None
    heads: Annotated[int, *whole(1, 10_000)] | None = None
    kv_heads: Annotated[int, *whole(1, 10_000)] | None = None
    head_width: Annotated[int, *whole(1, 10_000)] | None = None
    ffn: Annotated[int, *whole(1, 10_000_000)] | None = None
    vocab: Annotated[int, *whole(1, 100_000_000)] | None = None
    gated: bool | None = None
    tied_embeddings: bool | None = None
    max_positions: Annotated[int, *whole(1, 1_000_000_000)] | None = None
    experts: Annotated[int, *whole(1, 10_000)] | None = None
    experts_per_token: Annotated[int, *whole(1, 10_000)] | None = None
    encoder_layers: Annotated[int, *whole(1, 10_000)] | None = None
    image_size: Annotated[int, *whole(1, 65_536)] | None = None

    def network(self, base: Transformer | ConvNet | None) -> Transformer | Picture:
        """The network that is meant: that of the preset (`base`) where nothing else is said. Raises InvalidInput."""
        if self.config is not None and self.architecture is not None:
            raise InvalidInput.of("config", "give an architecture by its name or by its configuration, not both")
        picture = self._picture(base)
        if picture is not None:
            return picture
        if self.image_size is not None:
            raise InvalidInput.of("image_size", "belongs to networks for pictures; leave it out")
        known = self._known(base if isinstance(base, Transformer) else None)
        changes = self._changes()
        if known is None:
            require(self, NEEDED, "a custom architecture needs it")
            changes.setdefault("num_kv_heads", changes["num_heads"])
            return _transformer({"name": self.name or "custom", **changes})
        if not changes:
            return known
        fields = {name: getattr(known, name) for name in Transformer.__dataclass_fields__}
        return _transformer({**fields, **changes, "name": f"{known.name}, changed"})

    def stored(self) -> Stored:
        """How the configuration, if any, says that weights are stored. Raises InvalidInput for unknown ways."""
        try:
            return Stored() if self.config is None else stored_from_config(self.config)
        except ValueError as error:
            raise InvalidInput.of("weight_bits", str(error)) from None

    def _picture(self, base: Transformer | ConvNet | None) -> Picture | None:
        """A network for pictures, None where another kind is meant."""
        key, pixels = self.architecture, self.image_size
        if key is None:
            found = self._configured() if self.config is not None else known_picture(base) if base else None
            key, pixels = (None, None) if found is None else (found[0], pixels or found[1])
        if key not in PICTURES:
            return None
        given = [name for name in SHAPE if getattr(self, name) is not None]
        if given:
            title = PICTURES[key].title
            raise InvalidInput([FieldProblem(name, f"does not belong to {title}; leave it out") for name in given])
        try:
            return PICTURES[key].at(pixels)
        except ValueError as error:
            raise InvalidInput.of("image_size", str(error)) from None

    def _configured(self) -> tuple[str, int | None] | None:
        try:
            return picture_from_config(self.config or "")
        except ValueError as error:
            raise InvalidInput.of("config", str(error)) from None

    def _known(self, base: Transformer | None) -> Transformer | None:
        if self.config is not None:
            try:
                return architecture_from_config(self.config)
            except ValueError as error:
                raise InvalidInput.of("config", str(error)) from None
        if self.architecture in (None, "custom"):
            return base if self.architecture is None else None
        if self.architecture not in ARCHITECTURES:
            known = ", ".join(["custom", *sorted({*ARCHITECTURES, *PICTURES})])
            raise InvalidInput.of("architecture", f"{self.architecture!r} is not known; give one of {known}")
        return ARCHITECTURES[self.architecture].architecture

    def _changes(self) -> dict[str, Any]:
        given = {field: getattr(self, name) for name, field in SHAPE.items()}
        return {field: value for field, value in given.items() if value is not None}


def generating(network: Transformer | Picture) -> Transformer:
    """The network, if it writes token by token. Raises InvalidInput for one that answers in single passes."""
    shape = network.architecture if isinstance(network, Picture) else network
    if isinstance(network, Picture) or not isinstance(shape, Transformer):
        message = f"{shape.name} is a network for pictures: it generates no tokens"
    elif not shape.causal and not shape.encoder_layers:
        message = f"{shape.name} is an encoder: it generates no tokens"
    else:
        return shape
    raise InvalidInput.of("architecture", f"{message}; size a service of single passes")


def require(request: Request, names: tuple[str, ...], why: str) -> None:
    """Raise InvalidInput for those of the fields that were left out."""
    problems = [FieldProblem(name, f"is needed: {why}") for name in names if getattr(request, name) is None]
    if problems:
        raise InvalidInput(problems)


def _transformer(fields: dict[str, Any]) -> Transformer:
    try:
        return Transformer(**fields)
    except ValueError as error:
        raise InvalidInput.of("architecture", str(error)) from None
