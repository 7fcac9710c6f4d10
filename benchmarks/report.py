"""Puts the stored results into docs/performance.md, between its two marks; the words around them are written by hand.

Run as `python -m benchmarks.report [RESULTS]`; `python -m benchmarks` does it too.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.result import amount, path_of

ORDER = ("lateness", "beside_its_peers", "edits", "hooks", "notifications", "passes", "planning", "cold_start")
APART = "beside_its_peers"  # `make bench-peers` measures it: it says itself when it was taken
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- figures: made by `python -m benchmarks.report` -->\n", "<!-- end of figures -->\n"
SHORT_BEGIN, SHORT_END = "<!-- in short: made by `python -m benchmarks.report` -->\n", "<!-- end of in short -->\n"
IN_SHORT = (
    # benchmark, figure, size, in words
    ("lateness", "all sessions and their people visible", 1, "One edge is visible"),
    ("lateness", "all sessions and their people visible", 100, "100 edges at one instant"),
    ("lateness", "all sessions and their people visible", 1000, "1,000, with 5,000 people"),
    ("lateness", "all sessions and their people visible", 10_000, "10,000, with 50,000 people"),
    ("edits", "from COMMIT until all flips are visible", 1, "An edit takes effect"),
    ("hooks", "check_in alone", 0, "A check-in costs the app"),
)

Document = dict[str, Any]


def write(results: Path, page: Path = PAGE) -> None:
    """Replace what stands between the marks of the page."""
    paths = (path_of(results, name) for name in ORDER)
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    text = page.read_text(encoding="utf-8")
    text = _replaced(text, SHORT_BEGIN, SHORT_END, _in_short(documents))
    text = _replaced(text, BEGIN, END, _lines(documents, Path(os.path.relpath(results, page.parent))))
    page.write_text(text, encoding="utf-8")


def _replaced(text: str, begin: str, end: str, lines: Iterable[str]) -> str:
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    written = "\n".join(lines)
    return f"{before}{begin}\n{written}\n{end}{after}"


def _in_short(documents: list[Document]) -> Iterator[str]:
    """Say how punctual it is and what it costs: the medians, and the floor beside them."""
    found = {
        (document["benchmark"], figure["what"], figure["size"]): figure
        for document in documents
        for figure in document["figures"]
    }
    yield from _table(
        ("what", "median", "p99", "floor"),
        (
            (
                words,
                *(amount(figure["product"][key], figure["unit"]) for key in ("median", "p99")),
                amount(figure["floor"]["median"], figure["unit"]),
            )
            for benchmark, what, size, words in IN_SHORT
            if (figure := found.get((benchmark, what, size)))
        ),
    )
    yield ""


def _lines(documents: list[Document], folder: Path) -> Iterator[str]:
    yield from _machine(documents[0]["machine"])
    yield from ("", "### What it must reach", "")
    targets = (target for document in documents for target in document["targets"])
    yield from _table(("what", "limit", "measured", ""), map(_target, targets))
    for document in documents:
        yield from ("", f"### {document['benchmark'].replace('_', ' ').capitalize()}", "", document["question"], "")
        if document["benchmark"] == APART:
            yield from (*_machine(document["machine"]), "")
        heads = ("what", document["size"], "n", "median", "p99", "largest", "floor", "floor p99", "times the floor")
        yield from _table(heads, map(_figure, document["figures"]))
        yield from _notes(document["notes"])
        yield from ("", f"![cost against size]({folder / document['benchmark']}.png)")
    yield ""


def _machine(machine: Document) -> Iterator[str]:
    settings = ", ".join(f"{name} {value}" for name, value in machine["settings"].items())
    yield (
        f"Taken {machine['at']} on {machine['cores']} cores and {machine['memory_gb']} GB, {machine['system']}, Python "
        f"{machine['python']}, PostgreSQL {machine['postgresql']} ({settings}); load before: {machine['load_before']}."
    )


def _notes(notes: list[str]) -> Iterator[str]:
    if notes:
        yield ""
        yield from (f"- {note}" for note in notes)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    heads = list(heads)
    yield f"| {' | '.join(heads)} |"
    yield f"|---|{'---:|' * (len(heads) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _target(target: Document) -> tuple[str, ...]:
    sign = "≥" if target["least"] else "≤"
    reached = "reached" if target["reached"] else "**missed**"
    limit, measured = (amount(target[key], target["unit"]) for key in ("limit", "measured"))
    return target["what"], f"{sign} {limit}", measured, reached


def _figure(figure: Document) -> tuple[str, ...]:
    product, floor, unit = figure["product"], figure["floor"], figure["unit"]
    spread = (amount(product[key], unit) for key in ("median", "p99", "largest"))
    beside = (amount(floor[key], unit) for key in ("median", "p99")) if floor else ("", "")
    ratio = f"{figure['ratio']:.2f}" if figure["ratio"] else ""
    return figure["what"], f"{figure['size']:,}", str(product["count"]), *spread, *beside, ratio


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results")
