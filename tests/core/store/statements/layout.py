"""A statement's text, broken into lines by clause, list and condition. Only white space changes."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

WIDTH = 110
INDENT = "    "
SHORT = 20  # a group that is not longer is never broken

_TOKEN = re.compile(r"""(\s*)('(?:[^']|'')*'|"[^"]*"|[(),]|[^\s(),'"]+)""")
_CLOSED_BY = {"(": ")", "CASE": "END"}
_STATEMENTS = frozenset({"WITH", "SELECT", "INSERT", "UPDATE", "DELETE"})
_CLAUSES = _STATEMENTS | {"FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "FOR", "UNION"}
_CLAUSES |= {"VALUES", "SET", "USING", "RETURNING", "LEFT", "JOIN"}
# Here no clause begins: (the word before, the word).
_CONTINUED = frozenset(
    {
        ("DELETE", "FROM"),
        ("DISTINCT", "FROM"),
        ("DO", "UPDATE"),
        ("KEY", "UPDATE"),
        ("FOR", "UPDATE"),
        ("OUTER", "JOIN"),
    }
)
_HEADS = _CLAUSES | {"BY", "INTO", "DISTINCT"}


@dataclass(frozen=True)
class _Word:
    text: str
    is_spaced: bool


@dataclass(frozen=True)
class _Group:
    """What is between parentheses, or between CASE and END."""

    opening: _Word
    inside: "_Nodes"
    closing: _Word


_Nodes = Sequence[_Word | _Group]


def laid_out(statement: str) -> str:
    """Return the statement with a line for each clause, and more lines where a clause is longer than a line."""
    tokens = (_Word(text, bool(space)) for space, text in _TOKEN.findall(statement))
    return "\n".join(_statement(_grouped(tokens)[0], WIDTH))


def _grouped(tokens: Iterator[_Word], until: str | None = None) -> tuple[_Nodes, _Word]:
    """Return the nodes up to the word `until`, and that word."""
    nodes: list[_Word | _Group] = []
    for token in tokens:
        if token.text == until:
            return nodes, token
        is_opening = token.text in _CLOSED_BY
        nodes.append(_Group(token, *_grouped(tokens, _CLOSED_BY[token.text])) if is_opening else token)
    return nodes, _Word("", is_spaced=False)


def _words(nodes: _Nodes) -> Iterator[_Word]:
    for node in nodes:
        if isinstance(node, _Group):
            yield from (node.opening, *_words(node.inside), node.closing)
        else:
            yield node


def _flat(nodes: _Nodes) -> str:
    return "".join(f"{' ' * word.is_spaced}{word.text}" for word in _words(nodes)).strip()


def _text(node: _Word | _Group) -> str:
    return node.text if isinstance(node, _Word) else ""


def _split(nodes: _Nodes, begins: Callable[[str, str, str], bool]) -> list[_Nodes]:
    """Split the nodes before each word that begins a part; `begins` takes the word before, the word, the word after."""
    texts = [*map(_text, nodes), ""]
    cuts = [at for at in range(1, len(nodes)) if begins(*texts[at - 1 : at + 2])]
    return [nodes[since:until] for since, until in pairwise([0, *cuts, len(nodes)])]


def _statement(nodes: _Nodes, width: int) -> list[str]:
    return [line for clause in _split(nodes, _begins_clause) for line in _clause(clause, width)]


# Each takes the word before, the word, and the word after.
def _begins_clause(before: str, word: str, after: str) -> bool:
    return (word, after) == ("ON", "CONFLICT") or (word in _CLAUSES and (before, word) not in _CONTINUED)


def _begins_member(before: str, word: str, _: str) -> bool:
    return before == "," or word in {"WHEN", "ELSE"}


def _begins_with_or(_: str, word: str, __: str) -> bool:
    return word == "OR"


def _begins_with_and(_: str, word: str, __: str) -> bool:
    return word == "AND"


def _clause(nodes: _Nodes, width: int) -> list[str]:
    """Return a clause as one line; if it is too long, its list below its head, or its condition beside it."""
    if len(flat := _flat(nodes)) <= width:
        return [flat]
    at = next((at for at, node in enumerate(nodes) if _text(node) not in _HEADS), len(nodes))
    head, rest = _flat(nodes[:at]), nodes[at:]
    if len(_split(rest, _begins_member)) > 1:
        return [head, *_indented(_list(rest, width - len(INDENT)))]
    first, *more = _lines(rest, width - len(head) - 1)
    return [f"{head} {first}", *more]


def _list(nodes: _Nodes, width: int) -> list[str]:
    """Return a line, or more, for each member of a list, or branch of a CASE."""
    return [line for member in _split(nodes, _begins_member) for line in _lines(member, width)]


def _lines(nodes: _Nodes, width: int) -> list[str]:
    """Break the nodes where OR or AND begins a part; else within their longest group."""
    if len(flat := _flat(nodes)) <= width:
        return [flat]
    for begins in (_begins_with_or, _begins_with_and):
        first, *more = _split(nodes, begins)
        if more:
            rest = [line for part in more for line in _lines(part, width - len(INDENT))]
            return [*_lines(first, width), *_indented(rest)]
    groups = [at for at, node in enumerate(nodes) if isinstance(node, _Group) and len(_flat([node])) > SHORT]
    if not groups:
        return [flat]
    return _broken_group(nodes, max(groups, key=lambda at: len(_flat([nodes[at]]))), width)


def _broken_group(nodes: _Nodes, at: int, width: int) -> list[str]:
    group = nodes[at]
    assert isinstance(group, _Group)
    opening, closing = _flat([*nodes[:at], group.opening]), [group.closing, *nodes[at + 1 :]]
    if _is_single(group.inside):  # as in NOT (EXISTS (...))
        first, *more = _lines(group.inside, width - len(opening))
        *between, last = [f"{opening}{first}", *more]
        return [*between, *_lines([_Word(last, is_spaced=False), *closing], width)]
    inside = (_statement if _is_statement(group.inside) else _list)(group.inside, width - len(INDENT))
    return [opening, *_indented(inside), *_lines(closing, width)]


def _is_statement(nodes: _Nodes) -> bool:
    return _text(nodes[0]) in _STATEMENTS


def _is_single(nodes: _Nodes) -> bool:
    """Whether there is neither a statement nor a list nor a condition of several parts, but a group."""
    texts = [_text(node) for node in nodes]
    return not _is_statement(nodes) and "" in texts and not {",", "AND", "OR", "WHEN"} & set(texts)


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"{INDENT}{line}" for line in lines]
