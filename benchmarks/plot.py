"""A plot of cost against size: each figure a line, its floor the same line dashed."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from benchmarks.result import Figure, Result


def save(result: Result, folder: Path) -> None:
    """Draw the figures of each unit in a panel of its own, and write them as a PNG."""
    units = list(dict.fromkeys(figure.unit for figure in result.figures))
    drawing = Drawing(figsize=(7.5 * len(units), 4.8))
    panels = drawing.subplots(1, len(units), squeeze=False)
    for axes, unit in zip(panels[0], units, strict=True):
        _panel(axes, [figure for figure in result.figures if figure.unit == unit], result.size, unit)
    drawing.suptitle(result.question, fontsize=10, wrap=True)
    drawing.tight_layout()
    drawing.savefig(folder / f"{result.benchmark}.png", dpi=110)


def _panel(axes: Axes, figures: list[Figure], size: str, unit: str) -> None:
    for what in dict.fromkeys(figure.what for figure in figures):
        _line(axes, what, sorted((f for f in figures if f.what == what), key=lambda figure: figure.size))
    axes.set(xscale="symlog", yscale="log", xlabel=size, ylabel=f"{unit}, median (bars: p99)")
    axes.grid(which="major", alpha=0.3)
    axes.legend(fontsize=8)


def _line(axes: Axes, what: str, figures: list[Figure]) -> None:
    medians = [figure.product.median for figure in figures]
    above = [max(figure.product.p99 - figure.product.median, 0.0) for figure in figures]
    [line, *_] = axes.errorbar(
        [figure.size for figure in figures],
        medians,
        yerr=[[0.0] * len(above), above],
        marker="o",
        capsize=3,
        label=what,
    )
    floors = [(figure.size, figure.floor.median) for figure in figures if figure.floor]
    if floors and line is not None:
        axes.plot(
            *zip(*floors, strict=True), linestyle="--", marker="x", color=line.get_color(), label=f"{what}: floor"
        )
