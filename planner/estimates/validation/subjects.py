"""The architecture that a row of a table describes by its columns or names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from planner.estimates.validation.names import known_shapes
from planner.estimates.validation.proportions import named_size, usual_shape
from planner.estimates.validation.table import Row
from planner.estimates.validation.vocabularies import usual_vocabulary
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.detection import detector
from planner.jobs.diffusion import denoiser
from planner.jobs.known.pairs import MT5_VOCABULARY, T5_VOCABULARY
from planner.jobs.presets import ARCHITECTURES
from planner.jobs.vision import patches, vision_network

USUAL_VOCABULARY = 50_304
USUAL_IMAGE = 224
USUAL_PATCH = 16  # of a vision transformer (Dosovitskiy et al. 2021)
EFFICIENTNET_IMAGES = (224, 240, 260, 300, 380, 456, 528, 600)
# A width that misses the stated number of parameters by more than this factor is not that of the experts.
FAR_OFF = 1.5
STATE_SPACE = re.compile(r"nemotron_(?:3|h)|mamba|jamba", re.IGNORECASE)
# Scans that are segmented whole, piece by piece: each is as large as it is.
WHOLE_VOLUMES = re.compile(r"KiTS", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a row ran: the network, positions per sample, the share of them that reach the head, and assumptions."""

    architecture: Transformer | ConvNet
    sequence_length: int
    head_share: float = 1.0
    assumptions: tuple[str, ...] = ()
    passes: int = 1  # per picture: two where a step runs with and without the text
    target_length: int | None = None  # positions that an encoder–decoder writes; None: as many as it reads


@dataclass(frozen=True, slots=True)
class Declined:
    """Why a row is not estimated."""

    reason: str


def subject_of(row: Row) -> Subject | Declined:
    """The architecture of a training or inference row."""
    family = row.text("model_family")
    if family == "diffusion":
        return _denoiser(row)
    if family in ("cnn", "vit"):
        return _picture(row)
    if family in ("dense-transformer", "moe-transformer", "encoder", ""):
        return _text(row, family)
    if _is_pair(row):
        return _pair(row)
    if row.text("image_size"):
        return _picture(row)
    if STATE_SPACE.search(row.text("model_name")):
        return Declined("layers that carry a state instead of attending (Mamba) are not estimated yet")
    return Declined(f"the model family {family!r} is not estimated yet")


def _picture(row: Row) -> Subject | Declined:
    name, stated = row.text("model_name"), image_size(row)
    image = stated or usual_image(name)
    network = vision_network(name, image) or detector(name, stated)
    if network is None:
        return Declined(f"the shape of {name!r} is not known")
    if WHOLE_VOLUMES.search(name) and stated is None and "output_len" in row.cells:
        return Declined("how large the volumes are is not stated")
    assumed = () if stated else (f"pictures of {_told(network, image)} pixels",)
    if isinstance(network, ConvNet):
        return Subject(network, 1, assumptions=assumed)
    positions = patches(name, image)
    if positions is None:
        positions = (image // USUAL_PATCH) ** 2 + 1
        assumed = (*assumed, f"patches of {USUAL_PATCH} pixels")
    return Subject(network, positions, head_share=1.0 / positions, assumptions=assumed)


def image_size(row: Row) -> int | None:
    """The side of the pictures as stated: "224", "224x224", or of "512x1024" that of a square with as many pixels."""
    sides = [int(side) for side in re.findall(r"\d+", row.text("image_size"))]
    if len(sides) == 2:
        return round(math.sqrt(sides[0] * sides[1]))
    return sides[0] if len(set(sides)) == 1 else None


def _told(network: ConvNet | Transformer, image: int) -> str:
    """The pictures that a network was built for, where that is not the usual size of classifiers."""
    if not isinstance(network, ConvNet) or network.image_size == image:
        return str(image)
    first = network.convs[0]
    width = network.image_size
    return f"{width} × {round(width * first.height / first.size)}" if first.height else str(width)


def usual_image(name: str) -> int:
    """Pixels a side that a network was published for: EfficientNets grow with their number (Tan and Le 2019)."""
    found = re.search(r"efficientnet.*b([0-7])", name.casefold())
    return EFFICIENTNET_IMAGES[int(found[1])] if found else USUAL_IMAGE


def _denoiser(row: Row) -> Subject | Declined:
    """One step of a diffusion model."""
    name = row.text("model_name")
    found = denoiser(name, image_size(row)) or denoiser(name.rpartition("/")[2], image_size(row))
    if found is None:
        return Declined(f"the shape of {name!r} is not known")
    assumed = () if image_size(row) else (f"pictures of {found.pixels} pixels",)
    return Subject(found.network, found.positions, passes=found.passes, assumptions=assumed)


def _text(row: Row, family: str) -> Subject | Declined:
    known = _known(row)
    sequence = row.whole("seq_len")
    assumed: list[str] = []
    if known is None:
        shaped = _shaped(row, family, assumed)
        if isinstance(shaped, Declined):
            return shaped
        known = shaped
    if sequence is None and "output_len" not in row.cells:
        if family == "encoder" and "squad" in row.text("model_name").casefold():
            sequence = 384
        elif known.max_positions is not None:
            sequence = min(known.max_positions, 4096)
        else:
            return Declined("the sequence length is not stated")
        assumed.append(f"a sequence length of {sequence}")
    if "transformer-xl" in row.text("model_name").casefold():
        known = _remembering(known, row, sequence or 1)
        assumed = [*(each for each in assumed if "vocabulary" not in each), "words as frequent as Zipf's law says"]
    share = 1.0
    if family == "encoder":
        share = _encoder_head(row)
        known = replace(known, causal=False)
    elif not known.causal:
        known = replace(known, causal=True)
    known = replace(known, max_positions=None)
    return Subject(known, sequence or 1, share, tuple(assumed))


def _remembering(known: Transformer, row: Row, sequence: int) -> Transformer:
    """Transformer-XL: a segment sees the one before; its words are those of WikiText-103, cut by rank, in the large
    network each part a quarter as wide as the one before (Dai et al. 2019, their scripts)."""
    base = ARCHITECTURES["transformer-xl-base"].architecture
    divisor = 4 if "large" in row.text("model_name").casefold() else 1
    return replace(
        known,
        vocab=base.vocab,
        cutoffs=base.cutoffs,
        cutoff_divisor=divisor,
        segment_memory=sequence,
        tied_embeddings=True,
    )


# A sentence of the news that translators are measured on, in the pieces of words that they read: 4.5 M pairs of
# sentences and about 130 M pieces a language (Vaswani et al. 2017, section 5.1; Ott et al. 2018, table 1).
USUAL_SENTENCE = 29
# T5's pre-training cuts out spans of an input of 512 pieces and has 114 to write (Raffel et al. 2020, section 3.1.4).
T5_TARGETS = 114 / 512
LENGTHS = re.compile(r"encoder seq (\d+), decoder seq (\d+)")


def _is_pair(row: Row) -> bool:
    """Whether a row tells of an encoder–decoder."""
    return (
        "encoder-decoder" in row.text("notes")
        or re.match(r"(?:[a-z]+/)?(?:m?t5|flan-t5|m?bart|pegasus|opus-mt|marian)\b", row.text("model_name").casefold())
        is not None
    )


def _pair(row: Row) -> Subject | Declined:
    """An encoder–decoder, whose stated layers are those of each half."""
    assumed: list[str] = []
    known = _known(row)
    if known is None:
        shaped = _shaped(row, "dense-transformer", assumed)
        if isinstance(shaped, Declined):
            return shaped
        name = row.text("model_name").casefold()
        if "t5" in name and row.whole("vocab") is None:
            assumed.remove(f"a vocabulary of {USUAL_VOCABULARY}")
            shaped = replace(shaped, vocab=MT5_VOCABULARY if "mt5" in name else T5_VOCABULARY)
        known = replace(shaped, encoder_layers=shaped.num_layers)
    if not known.encoder_layers:
        return Declined("its encoder is not known")
    found = LENGTHS.search(row.text("notes"))
    read = int(found[1]) if found else row.whole("seq_len")
    if read is None:
        read = USUAL_SENTENCE
        assumed.append(f"sentences of {read} pieces")
    written = int(found[2]) if found else None
    if written is None and "t5" in row.text("model_name").casefold():
        written = max(1, round(read * T5_TARGETS))
        assumed.append(f"{written} positions written")
    return Subject(replace(known, max_positions=None), read, 1.0, tuple(assumed), target_length=written)


def _encoder_head(row: Row) -> float:
    """Answering questions classifies positions; pre-training predicts the masked 15 % (Devlin et al. 2018)."""
    name = row.text("model_name").casefold()
    if "lmhead" in name:
        return 1.0
    return 0.0 if re.search(r"squad|glue|mrpc|fine", name) else 0.15


def _known(row: Row) -> Transformer | None:
    """A named architecture whose number of layers is the row's, where the row states one."""
    for architecture in known_shapes(row.text("model_name")):
        stated = (row.whole("layers"), architecture.num_layers), (row.whole("hidden"), architecture.hidden)
        if all(value is None or value == known for value, known in stated):
            return architecture
    return None


def _shaped(row: Row, family: str, assumed: list[str]) -> Transformer | Declined:
    layers, hidden = row.whole("layers"), row.whole("hidden")
    if layers is None or hidden is None:
        usual = _proportioned(row, family)
        if usual is None:
            return Declined("layers and hidden are not stated, and the name is not known")
        layers, hidden = usual
        assumed.append(f"{layers} layers of width {hidden}, from the number of parameters")
    heads = row.whole("heads")
    if heads is None:
        heads = max(1, hidden // 128)
        assumed.append(f"{heads} heads")
    gated = row.text("gated_mlp") == "1"
    ffn = row.whole("ffn_hidden")
    if ffn is None:
        ffn = 4 * hidden if not gated else 8 * hidden // 3
        assumed.append(f"a feed-forward width of {ffn}")
    vocabulary = row.whole("vocab")
    if vocabulary is None:
        vocabulary = usual_vocabulary(row.text("model_name")) or USUAL_VOCABULARY
        assumed.append(f"a vocabulary of {vocabulary}")
    experts = row.whole("n_experts") or 1
    try:
        architecture = Transformer(
            name=row.text("model_name"),
            num_layers=layers,
            hidden=hidden,
            num_heads=heads,
            num_kv_heads=row.whole("kv_heads") or heads,
            ffn=ffn,
            vocab=vocabulary,
            gated=gated,
            tied_embeddings=row.text("tied_embeddings") != "0",
            causal=family != "encoder",
            num_experts=experts,
            experts_per_token=row.whole("top_k") or 1,
            head_width=0 if hidden % heads == 0 else 128,
        )
    except ValueError as error:
        return Declined(f"the shape does not add up: {error}")
    return _with_stated_experts(architecture, row, assumed) if experts > 1 else architecture


def _proportioned(row: Row, family: str) -> tuple[int, int] | None:
    """Layers and width that the size of a dense decoder in training leaves to guess, which hardly changes its work."""
    size = _parameters(row) or named_size(row)
    if family != "dense-transformer" or "output_len" in row.cells or size is None:
        return None
    return usual_shape(size, row.whole("vocab") or usual_vocabulary(row.text("model_name")) or USUAL_VOCABULARY)


def _with_stated_experts(architecture: Transformer, row: Row, assumed: list[str]) -> Transformer:
    """With the experts' width that the stated number of parameters leaves, where the stated width is far from it."""
    total = _parameters(row)
    if total is None:
        return architecture
    per_width = (3 if architecture.gated else 2) * architecture.hidden
    rest = total - architecture.embedding_parameters - architecture.num_layers * architecture.attention_parameters
    width = rest / (architecture.num_layers * architecture.num_experts * per_width)
    if 1.0 / FAR_OFF < width / architecture.ffn < FAR_OFF or width < 1.0:
        return architecture
    rounded = max(64, round(width / 64) * 64)
    assumed.append(f"experts of width {rounded}, from the number of parameters")
    return replace(architecture, ffn=rounded)


def _parameters(row: Row) -> float | None:
    """Parameters as stated: plain in training tables, billions in inference tables."""
    value = row.number("params_total")
    return value if value is None or value > 1e5 else value * 1e9
