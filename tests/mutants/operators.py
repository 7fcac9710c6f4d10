"""The mutants of a module: in each, one thing that ought to matter is removed or turned into its opposite.

SQL is code here, and most of it is built when a module is imported. So the operators know locks, conditions, bounds and
orders of statements. A mutant replaces a span of the source, and the rest of the file stays as it is.
"""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

# A call of these is an addition to the statement before it: `select(...).limit(1)` without `.limit(1)`.
ADDITIONS = {
    "correlate",
    "desc",
    "distinct",
    "filter",
    "limit",
    "offset",
    "on_conflict_do_nothing",
    "order_by",
    "where",
    "with_for_update",
}
EMPTY = {
    r"(list|Sequence)\[": "[]",
    r"(dict|Mapping)\[": "{}",
    r"set\[": "set()",
    r"(frozenset|Collection|Iterable)\[": "frozenset()",
    r"tuple\[.*\.\.\.\]": "()",
}
BOUNDARIES: dict[type[ast.cmpop], str] = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"}
SYMBOLS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
LONGEST_SHOWN = 70


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one module: its bytes from `start` to `end` become `new`. `name` stays when other lines change."""

    module: str
    operator: str
    name: str
    line: int
    start: int
    end: int
    new: str

    def applied_to(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]


@dataclass(frozen=True, slots=True)
class _Change:
    """From the first node's start to the last node's end."""

    operator: str
    first: ast.AST
    last: ast.AST
    new: str


class _Source:
    def __init__(self, source: bytes) -> None:
        self._bytes = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def span(self, first: ast.AST, last: ast.AST) -> tuple[int, int]:
        """Return the bytes' places; the nodes are statements, expressions, arguments or handlers."""
        start = self._lines[first.lineno - 1] + first.col_offset  # type: ignore[attr-defined]
        return start, self._lines[last.end_lineno - 1] + last.end_col_offset  # type: ignore[attr-defined]

    def text(self, first: ast.AST, last: ast.AST | None = None) -> str:
        start, end = self.span(first, last or first)
        return self._bytes[start:end].decode()


def mutants_of(module: str, source: bytes) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines."""
    text = _Source(source)
    seen: Counter[str] = Counter()
    found = []
    for change, scope in _changes(ast.parse(source), text, ()):
        start, end = text.span(change.first, change.last)
        old, new = (_in_one_line(each) for each in (text.text(change.first, change.last), change.new))
        if old == new:
            continue
        name = f"{module} {'.'.join(scope) or '-'} {change.operator}: {_shown(old, new)}"
        seen[name] += 1
        name += f" #{seen[name]}" if seen[name] > 1 else ""
        found.append(Mutant(module, change.operator, name, change.first.lineno, start, end, change.new))  # type: ignore[attr-defined]
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end))


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _shown(old: str, new: str) -> str:
    """Return what differs, shortened in the middle."""
    short = [
        each if len(each) <= LONGEST_SHOWN else f"{each[: LONGEST_SHOWN - 30]} ... {each[-25:]}" for each in (old, new)
    ]
    return " => ".join(short)


def _changes(node: ast.AST, text: _Source, scope: tuple[str, ...]) -> Iterator[tuple[_Change, tuple[str, ...]]]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        scope = (*scope, node.name)
    for operator in OPERATORS:
        for change in operator(node, text):
            # What a constructor sets first is missed by everything.
            if not (change.operator == "drop statement" and scope[-1:] == ("__init__",)):
                yield change, scope
    for name, value in ast.iter_fields(node):
        # Types and decorators are not code that a test could miss; places inside f-strings are unknown before 3.12.
        if name in {"annotation", "returns", "decorator_list", "bases"} or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_type(child):
                yield from _changes(child, text, scope)


def _is_type(node: ast.AST) -> bool:
    """A name for a type, as `Post = Boards | None`."""
    name = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
    return name[:1].isupper() and not name.isupper()


# Operators: each yields the changes of one node


def _statement_additions(node: ast.AST, text: _Source) -> Iterator[_Change]:
    """A statement loses its lock, its bound, its order, or its only condition."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ADDITIONS
        and not _has_several_conditions(node)
    ):
        yield _Change(f"drop .{node.func.attr}", node, node, text.text(node.func.value))


def _conditions(node: ast.AST, text: _Source) -> Iterator[_Change]:
    """One of several conditions, or operands, goes."""
    if isinstance(node, ast.Call) and _has_several_conditions(node):
        for dropped in node.args:
            kept = [text.text(each) for each in (*node.args, *node.keywords) if each is not dropped]
            yield _Change("drop condition", node, node, f"{text.text(node.func)}({', '.join(kept)})")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
        for kept_one in (node.left, node.right):
            yield _Change("drop operand", node, node, f"({text.text(kept_one)})")
    if isinstance(node, ast.BoolOp):
        symbol = " and " if isinstance(node.op, ast.And) else " or "
        for dropped in node.values:
            kept = [f"({text.text(each)})" for each in node.values if each is not dropped]
            yield _Change("drop operand", node, node, f"({symbol.join(kept)})")
    if isinstance(node, ast.comprehension):
        for test in node.ifs:
            yield _Change("drop filter", test, test, "True")


def _has_several_conditions(node: ast.Call) -> bool:
    return len(node.args) > 1 and _called(node) in {"where", "filter"}


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _branches(node: ast.AST, text: _Source) -> Iterator[_Change]:
    """A guard never holds; a branch is taken never, or always; one of two values is always taken."""
    if isinstance(node, ast.If):
        yield _Change("never", node.test, node.test, "False")
        leaves = isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)
        binds = any(isinstance(each, ast.NamedExpr) for each in ast.walk(node.test))
        if not leaves and not binds:
            yield _Change("always", node.test, node.test, "True")
    if isinstance(node, ast.IfExp):
        yield _Change("always", node, node, f"({text.text(node.body)})")
        yield _Change("never", node, node, f"({text.text(node.orelse)})")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield _Change("drop not", node, node, f"({text.text(node.operand)})")
    if isinstance(node, ast.ExceptHandler) and node.type is not None:
        yield _Change("catch nothing", node.type, node.type, "()")


def _bounds(node: ast.AST, text: _Source) -> Iterator[_Change]:
    """A bound goes, or an edge belongs to the other side; a flag says the opposite."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        yield _Change("drop slice", node, node, text.text(node.value))
    if isinstance(node, ast.Call) and _called(node) in {"min", "max"} and len(node.args) == 2:
        for kept in node.args:
            yield _Change(f"drop {_called(node)}", node, node, f"({text.text(kept)})")
    if isinstance(node, ast.Call) and _called(node) == "sorted":
        yield _Change("drop order", node, node, f"list({text.text(node.args[0])})")
    if isinstance(node, ast.Compare):
        yield from _boundaries(node, text)
    if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
        yield _Change("turn flag", node, node, f"{node.arg}={not node.value.value}")


def _boundaries(node: ast.Compare, text: _Source) -> Iterator[_Change]:
    operands = [f"({text.text(each)})" for each in (node.left, *node.comparators)]
    for place, operator in enumerate(node.ops):
        if other := BOUNDARIES.get(type(operator)):
            symbols = [SYMBOLS[type(each)] for each in node.ops]
            symbols[place] = other
            new = operands[0] + "".join(f" {each} {side}" for each, side in zip(symbols, operands[1:], strict=True))
            yield _Change("move boundary", node, node, new)


def _statements(node: ast.AST, text: _Source) -> Iterator[_Change]:
    """A call is left out (a notification, a request, a retry), or what a statement notes, or what a block holds."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield _Change("drop call", node, node, "pass")
    if isinstance(node, ast.AugAssign | ast.Delete) or (isinstance(node, ast.Assign) and _is_kept(node.targets[0])):
        yield _Change("drop statement", node, node, "pass")
    if isinstance(node, ast.With):
        for dropped in node.items:
            if dropped.optional_vars is None:
                kept = [text.text(each.context_expr, each.optional_vars) for each in node.items if each is not dropped]
                header = f"with {', '.join(kept)}" if kept else "if True"
                yield _Change("drop with", node, node.items[-1].optional_vars or node.items[-1].context_expr, header)


def _is_kept(target: ast.expr) -> bool:
    """Whether what is assigned outlives the function."""
    return isinstance(target, ast.Attribute | ast.Subscript)


def _results(node: ast.AST, _text: _Source) -> Iterator[_Change]:
    """A function returns nothing of what it found."""
    if not isinstance(node, ast.FunctionDef) or node.returns is None:
        return
    kind = ast.unparse(node.returns)
    others = [empty for pattern, empty in EMPTY.items() if re.match(pattern, kind)]
    others += ["True", "False"] if kind == "bool" else []
    others += ["None"] if kind.endswith("| None") else []
    for each in ast.walk(node):
        if isinstance(each, ast.Return) and each.value is not None and not isinstance(each.value, ast.Constant):
            for other in others:
                yield _Change("return", each.value, each.value, other)


def _orders(node: ast.AST, text: _Source) -> Iterator[_Change]:
    """Two statements that act change places."""
    for block in ("body", "orelse", "finalbody"):
        statements = getattr(node, block, None)
        if isinstance(statements, list):
            for first, second in pairwise(statements):
                if _acts(first, text) and _acts(second, text) and not _depends(second, first):
                    between = text.text(first, second)[len(text.text(first)) : -len(text.text(second))]
                    yield _Change("swap", first, second, text.text(second) + between + text.text(first))


def _acts(node: ast.stmt, text: _Source) -> bool:
    """Whether a statement calls for the sake of what that does: it has no result, or it asks the database."""
    has_result = not isinstance(node, ast.Expr)
    calls = isinstance(node, ast.Expr | ast.Assign | ast.AugAssign) and isinstance(node.value, ast.Call)
    return calls and any(name in text.text(node) for name in ("connection", *([] if has_result else ["self."])))


def _depends(second: ast.stmt, first: ast.stmt) -> bool:
    def names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
        return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, context)}

    return not names(second, ast.Load).isdisjoint(names(first, ast.Store))


Operator = Callable[[ast.AST, _Source], Iterator[_Change]]
OPERATORS: tuple[Operator, ...] = (
    _statement_additions,
    _conditions,
    _branches,
    _bounds,
    _statements,
    _results,
    _orders,
)
