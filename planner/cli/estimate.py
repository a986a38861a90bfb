"""`planner estimate`: what a job takes and costs, on the attached devices and on the offers of the price book."""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from planner import units
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.errors import InvalidInput
from planner.estimates.choices import common_lacks
from planner.estimates.estimate import Option
from planner.quantity import Quantity
from planner.services.estimates import EstimateView, get_estimate, make_estimate
from planner.services.requests import EstimateRequest, parse, without_blanks
from planner.version import code_version

NOTHING_FITS = 6

HELP = {
    "preset": "A ready job to start from; other options change it. `planner estimate --preset ?` lists them.",
    "kind": "training or inference.",
    "architecture": 'A known architecture, or "custom" with its shape.',
    "encoder_layers": "Layers of an encoder beside it, as in T5 or BART (default: none).",
    "output_tokens": "Inference: tokens in an answer; 0 embeds texts in one pass (encoders: leave it out).",
    "image_size": "Networks for pictures: pixels a side (default: as published).",
    "pictures": "Training on pictures: how many are seen, rounds times data set, as 115M.",
    "target_length": "Training an encoder-decoder: tokens written per sequence (default: as many as are read).",
    "lora_rank": "Adapters: their rank (default 16).",
    "lora_targets": "Adapters: on all linear layers (default) or on attention's queries, keys and values.",
    "config": "A Hugging Face config.json, by its path or its text, instead of an architecture.",
    "nodes": "Training: how many of each offer work together (default 1).",
    "stack": "Training: what fuses kernels: eager (default), fused or compiled.",
    "tensor_parallel": "Training: GPUs that divide each layer (default, as for the other splits: searched).",
    "sharding": "Training: none, zero1, zero2 or zero3 (default: searched).",
    "checkpoint_stall": "Training: how long a checkpoint keeps the job waiting, as 30 s (default: by its size).",
    "restart_time": "Training: from a failure to working again, as 10 min (the default).",
    "gpu_hours_between_failures": "Training: of one GPU (default, assumed: 30,000).",
    "spot_interruptions_per_hour": "Training on spot: of one machine (default: the offer's own, else assumed).",
    "feed_rate": "Training: sequences a second that data loading delivers to one node (default: not counted).",
    "evaluate_every": "Training: evaluate after so many steps (default: never).",
    "evaluation_samples": "Training: on so many sequences.",
    "startup_time": "Training: until the first step, as 15 min; paid (default: not counted).",
    "queue_time": "Training: waiting before that, as 2 h; not paid (default: not counted).",
    "tokens": "Training: how many tokens, as 300M.",
    "global_batch": "Training: sequences per optimizer step.",
    "micro_batch": "Training: sequences per GPU and pass (default: the most that fits).",
    "requests": "Inference: how many requests (default: a service, costed per hour).",
    "concurrency": "Inference: requests at a time (default: as many as memory holds, of pictures the best batch).",
    "answer_within": "Inference in single passes: the longest that one item may take, as 50 ms (default: any time).",
    "frame_rate": "Inference on frames: so many a second of each camera (default: no cameras).",
    "steps": "Inference that draws: steps of denoising of a drawing.",
    "measured_step": "Training: one step of this very job took so long, as 812 ms, on the GPUs that follow.",
    "measured_gpu": "… on this GPU (catalogue key).",
    "measured_num_gpus": "… on so many of them (default 1).",
    "measured_nodes": "… in so many nodes (default 1).",
    "carbon_intensity": "Grams of CO2-equivalent per kWh (default: the cloud region's yearly mean where known).",
    "pue": "What the site draws for each kWh of its machines, as 1.2 (default: the provider's mean where known).",
    "goal": "What to rank by: cost (default) or time.",
    "deadline": "Options slower than this are named but ranked out, as 12 h.",
    "budget": "Options dearer than this are named but ranked out, as 250.",
    "price_age_days": "Options whose price was stated longer ago are named but ranked out, as 180 (default: no limit).",
    "power_limit": "Options whose GPUs draw more watts together on average are named but ranked out, as 10K.",
    "vendors": "Only NVIDIA, AMD, Intel … (repeatable).",
    "gpus": "Only these catalogue keys (repeatable).",
    "providers": "Only these providers (repeatable).",
    "regions": "Only these regions (repeatable).",
    "offer_kinds": "Only these kinds: on_demand, spot … (repeatable).",
    "as_of": "Prices as they held at this moment, as 2026-01-31T00:00:00Z.",
}


def _request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One command-line option per field of EstimateRequest, so that the two cannot drift apart."""
    for name, field in reversed(EstimateRequest.model_fields.items()):
        many = typing.get_origin(field.annotation) is tuple
        option = click.option(f"--{name.replace('_', '-')}", name, multiple=many, help=HELP.get(name))
        command = option(command)
    return command


@click.command(epilog="Example: planner estimate --preset finetune-small --goal time --gpus H100-80GB-SXM --json")
@_request_options
@click.option("--show", "estimate_id", help="Print a stored estimate by its id instead of making one.")
@click.option("--top", default=8, show_default=True, type=click.IntRange(1, 1000), help="How many options to print.")
@json_option
@pass_edge
def estimate(edge: Edge, /, estimate_id: str | None, top: int, **fields: Any) -> int:
    """Estimate time, memory, energy and cost of a job, with ranges, and say why the other options lost."""
    given = without_blanks({name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()})
    if "config" in given:
        given["config"] = _config_text(given["config"])
    with edge.session() as session:
        if estimate_id is not None:
            view = get_estimate(session, estimate_id)
        else:
            view = make_estimate(session, parse(EstimateRequest, given), now(), code_version())
    if edge.as_json:
        edge.print_json(view)
    else:
        print_estimate(edge.console, view, top)
    return 0 if view.answer.options else NOTHING_FITS


def _config_text(given: str) -> str:
    """The configuration itself, or what the file of that name holds. Raises InvalidInput for an unreadable one."""
    if given.lstrip().startswith("{"):
        return given
    try:
        return Path(given).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput.of("config", f"{given!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput.of("config", f"{given!r} is not UTF-8 text") from None


def print_estimate(console: Console, view: EstimateView, top: int) -> None:
    """The job in a line, the attached devices and the best other options, what was rejected, and what it rests on."""
    console.print(f"[bold]{view.job_name}[/bold]")
    console.print(f"  {view.job_sentence}", style="dim")
    options = view.answer.options
    here = [option for option in options if option.placement.device_id is not None]
    elsewhere = _best_of_each_gpu([option for option in options if option.placement.device_id is None])[:top]
    refused_here = [item for item in view.answer.rejections if item.placement.device_id is not None]
    for option in (*here, *elsewhere):
        _print_option(console, option)
    for rejection in refused_here:
        console.print(f"  {rejection.placement.title}: rejected")
        console.print(f"      {rejection.reason}", style="dim")
    if options:
        console.print(f"  The first of these rests on: {' '.join(_first_shown(here, elsewhere).notes)}", style="dim")
        if parts := _first_shown(here, elsewhere).time_parts:
            listed = " · ".join(f"{name} {units.format_seconds(part.mid)}" for name, part in parts)
            console.print(f"  Its time is made of: {listed}", style="dim")
    if not options:
        for lack in common_lacks(view.answer):
            console.print(f"  {lack.num_rejected} lack {lack.bottleneck}, as {lack.first.placement.title}", style="dim")
            console.print(f"      {lack.first.reason}", style="dim")
    if not options and not view.answer.rejections:
        console.print("  No device is attached and no offer passes the filters: allow more of them.")
    left = len(options) - len(here) - len(elsewhere)
    refused = len(view.answer.rejections) - len(refused_here)
    console.print(
        f"  {left} more lost and {refused} offers were rejected; why: planner estimate --show {view.id} --json"
    )
    console.print(f"  estimate {view.id}, prices as of {view.as_of:%Y-%m-%d}, code {view.code_version}", style="dim")


def _best_of_each_gpu(options: typing.Sequence[Option]) -> list[Option]:
    """The first option of each GPU model, in order: three regions of one offer say no more than one."""
    first: dict[str, Option] = {}
    for option in options:
        first.setdefault(option.placement.gpu.key, option)
    return list(first.values())


def _first_shown(here: typing.Sequence[Option], elsewhere: typing.Sequence[Option]) -> Option:
    return here[0] if here else elsewhere[0]


def _print_option(console: Console, option: Option) -> None:
    """Two lines: where, and low – middle – high of what it takes."""
    is_service = option.seconds is None
    money = partial(units.format_money, currency=option.placement.currency)
    items = option.extras.get("requests_per_second") if "alone_seconds" in option.extras else None
    rate = items or option.tokens_per_second
    figures = [
        span(rate, lambda value: f"{units.format_count(value)} {rate.unit}")
        if is_service or items is not None
        else span(option.seconds, units.format_seconds),
        f"{units.format_bytes(option.memory_bytes.mid)} of {units.format_bytes(option.usable_memory_bytes)} per GPU",
        f"power {span(option.average_power_watts, _watts)}"
        if is_service
        else f"energy {span(option.energy_joules, units.format_energy)}",
        f"{span(option.cost_per_hour, money)} per hour" if is_service else f"cost {span(option.cost, money)}",
    ]
    if items is not None:
        figures += _of_items(option, money)
    console.print(f"  {option.placement.title}  [cyan]{option.basis}[/cyan]")
    console.print(f"      {' · '.join(figures)}", soft_wrap=True)


def _of_items(option: Option, money: Callable[[float], str]) -> list[str]:
    """Of items that take a pass each: how long one takes alone and in its batch, and what a thousand cost."""
    told = [
        f"alone {span(option.extras['alone_seconds'], units.format_seconds)}",
        f"{option.extras['concurrency'].mid:,.0f} {option.extras['concurrency'].unit} at a time "
        f"{span(option.extras['request_seconds'], units.format_seconds)}",
        f"{span(option.cost_per_thousand_requests, money)} per thousand",
    ]
    return told if option.seconds is None else [span(option.seconds, units.format_seconds), *told]


def _watts(value: float) -> str:
    return f"{value:,.0f} W"


def span(quantity: Quantity | None, show: Callable[[float], str]) -> str:
    """ "12 – 15 – 19 min", "unknown" for None, the bare figure where there is no range."""
    if quantity is None:
        return "unknown"
    if quantity.low == quantity.high:
        return show(quantity.mid)
    return f"{show(quantity.low)} – [bold]{show(quantity.mid)}[/bold] – {show(quantity.high)}"
