"""What is on: parts of a board, read once, and made into blocks of HTML that pages and streams share.

A board is made of parts: a town's day, the towns of a country where something is on, or the countries. A block has a
key and a version; a page that has this version does not need the block again. Each board is made twice: with people's
names, for those who are signed in, and without any people, for everybody else.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, lru_cache

from flask import Flask
from sqlalchemy import Connection

from core.active_session_manager import Place
from core.db.transaction_settings import clock
from core.settings import load_settings
from core.store.views import boards, pages, places, search
from core.store.views.boards import GroupRow, Groups, PeopleRow, WindowRow
from core.store.views.pages import EveningRow, InstanceRow
from core.store.views.places import Town
from core.windows import StatedHours, Window
from web import strips, words
from web.dates import FARTHEST_ZONE, evening_is_over

MOST_NAMES = 6
MOST_OPENINGS = 8
MOST_AHEAD = 1000
"""How many of the next openings are searched for those of one country."""
MOST_GROUPS = 60
MOST_OF_GROUP = 5
MOST_OF_TOWN = 60
STATES = ("on", "later", "over")
LONGEST_DAY = timedelta(hours=26)
"""Longer than any strip: a day on which the clocks go back has 25 hours."""
LONGEST_TEXT = 100
"""The most characters of a name of a place in an address."""

Render = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a board: the day of a town; or what is on in a country, by town; or, with neither, all by country."""

    town: Town | None = None
    country: str | None = None


EVERYWHERE = Part()
Parts = tuple[Part, ...]
"""What one page's board is made of."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An instance in a list; `state` is on, later or over. `people`: None for the public.

    `place`: its town, in a list of several towns.
    """

    session_instance_id: int
    name: str
    place: str
    hours: str
    state: str
    edge: str
    people: tuple[str, ...] | None = None
    more: int = 0


@dataclass(frozen=True, slots=True)
class TownDay:
    """A town's block: its strip, and today's instances; `left_out`: how many more there are."""

    town: Town
    zone: str
    day: strips.Day
    bars: tuple[strips.Bar, ...]
    entries: tuple[Entry, ...]
    left_out: int

    @property
    def is_on(self) -> bool:
        """Whether anything is on there."""
        return any(entry.state == "on" for entry in self.entries)

    @property
    def lanes(self) -> int:
        """How many lanes the strip has."""
        return max((bar.lane + 1 for bar in self.bars), default=1)


@dataclass(frozen=True, slots=True)
class Group:
    """What is on in a country, or in a town of it: how many instances in how many towns, and the first by name."""

    name: str
    town: Town
    sessions: int
    towns: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """An instance that opens next, and when its music starts, by its own clocks."""

    session_instance_id: int
    name: str
    place: str
    starts: str
    hours: str
    zone: str


@dataclass(frozen=True, slots=True)
class Piece:
    """What a block is made of: its key on the page, the kind of its template, and its data."""

    key: str
    kind: str
    data: object


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database says at `now`, for those who are signed in: the pieces of each part."""

    now: datetime
    parts: Mapping[Part, tuple[Piece, ...]]

    def public(self) -> "Snapshot":
        """Return the snapshot without any people."""
        return Snapshot(self.now, {part: tuple(map(_without_people, pieces)) for part, pieces in self.parts.items()})


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of the page: its key on the page, its version and its HTML."""

    key: str
    version: str
    html: str


@dataclass(frozen=True, eq=False)
class Board:
    """The blocks of a board, in order."""

    blocks: tuple[Block, ...]

    @cached_property
    def order(self) -> list[tuple[str, str]]:
        """The names and versions of the blocks."""
        return [(block.key, block.version) for block in self.blocks]

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """The version of each block that is on the board."""
        return dict(self.order)


@dataclass(frozen=True, slots=True)
class You:
    """Where a viewer is, and what they said of evenings that are not over, by date."""

    at: Place | None = None
    ahead: tuple[EveningRow, ...] = ()

    @property
    def cancelled(self) -> list[EveningRow]:
        """The cancelled evenings that they said yes to."""
        return [one for one in self.ahead if one.instance.is_cancelled and one.attendance == "yes"]

    @property
    def moved(self) -> list[tuple[EveningRow, str]]:
        """The evenings to come that they said yes to and that were moved, each with the words from when to when.

        Nobody stores when an evening was moved, so some may have said yes to it since.
        """
        said_yes = (one for one in self.ahead if one.attendance == "yes")
        return [(one, moved) for one in said_yes if (moved := _moved(one.instance))]


def _moved(instance: InstanceRow) -> str | None:
    hours = words.occurrence(instance, load_settings().default_length)
    moved = words.moved(instance, hours)
    if hours is None or moved is None or instance.active or instance.is_cancelled:
        return None
    assert instance.occurrence_start
    to = words.day_beside(hours.start.date(), instance.occurrence_start.date())
    return f"{moved} to {to}, {words.clock(hours.start)}"


def town_key(city: str | None, state: str | None, country: str | None) -> str:
    """Return the key of a town's block; spaces around names and upper or lower case make no difference (A4)."""
    return "/".join((part or "").strip().casefold() for part in (country, state, city))


def town_of(address: Mapping[str, str]) -> Town | None:
    """Return the town that an address names; None if it names none."""
    city, state, country = (_named(address, name) for name in ("city", "state", "country"))
    return Town(city, state, country) if city else None


def parts_of(connection: Connection, address: Mapping[str, str], person_id: int | None) -> Parts:
    """Return the parts of the board at an address that names a town, a country or neither.

    Everywhere begins with the town of the person who is signed in.
    """
    if town := town_of(address):
        return (Part(town),)
    if country := _named(address, "country"):
        return (Part(country=country),)
    home = search.town_of(connection, person_id) if person_id else None
    return (Part(home), EVERYWHERE) if home else (EVERYWHERE,)


def _named(address: Mapping[str, str], name: str) -> str:
    return address.get(name, "")[:LONGEST_TEXT].strip()


# Reading


def read(connection: Connection, parts: Collection[Part]) -> Snapshot:
    """Read these parts as they are now, by as many queries as for one of them."""
    now = clock(connection)
    groups = _groups(connection, parts)
    towns = [part.town for part in parts if part.town]
    in_towns = boards.windows_in_towns(connection, towns, now - LONGEST_DAY, now + LONGEST_DAY) if towns else []
    ids = [one for found in groups.values() for group in found.rows for one in group.first]
    on = [row.session_instance_id for rows in in_towns for row in rows if row.active]
    there = boards.people_at(connection, [*ids, *on], MOST_NAMES)
    pieces = {
        Part(town): tuple(_town_pieces(town, rows, now, there)) for town, rows in zip(towns, in_towns, strict=True)
    }
    if groups:
        rows = {row.session_instance_id: row for row in boards.windows_of(connection, ids)}
        ahead = boards.openings(connection, now, MOST_OPENINGS if groups.keys() == {EVERYWHERE} else MOST_AHEAD)
        entries = {id_: entry(now, row, there.get(id_)) for id_, row in rows.items()}
        pieces |= {part: tuple(_group_pieces(part, now, found, entries, ahead)) for part, found in groups.items()}
    return Snapshot(now, pieces)


def _groups(connection: Connection, parts: Collection[Part]) -> dict[Part, Groups]:
    found = {EVERYWHERE: boards.by_country(connection, MOST_GROUPS, MOST_OF_GROUP)} if EVERYWHERE in parts else {}
    if countries := [part.country for part in parts if part.country is not None]:
        by_town = boards.by_town(connection, countries, MOST_GROUPS, MOST_OF_GROUP)
        found |= {Part(country=country): groups for country, groups in by_town.items()}
    return found


def read_you(connection: Connection, person_ids: Collection[int], now: datetime) -> dict[int, You]:
    """Read this of each of these people: person id -> you."""
    at = places.places_of(connection, person_ids)
    ahead = pages.evenings_ahead(connection, person_ids, (now - FARTHEST_ZONE).date())
    return {
        person_id: You(
            at.get(person_id), tuple(one for one in ahead.get(person_id, ()) if not evening_is_over(one, now))
        )
        for person_id in person_ids
    }


def _group_pieces(
    part: Part, now: datetime, groups: Groups, entries: Mapping[int, Entry], ahead: Iterable[WindowRow]
) -> Iterator[Piece]:
    yield Piece("summary", "summary", (groups.sessions, groups.towns, 1 if part.country else groups.groups))
    for group in sorted(groups.rows, key=_by_place):
        name = words.town(group.town.city, group.town.state) if part.country else (group.town.country or "").strip()
        shown = tuple(entries[one] for one in group.first if one in entries)
        data = Group(name or "Elsewhere", group.town, group.sessions, group.towns, shown)
        yield Piece(f"group:{group.town.country}/{group.town.state}/{group.town.city}", "group", data)
    if groups.groups > len(groups.rows):
        yield Piece("more", "more", groups.groups - len(groups.rows))
    of_country = [row for row in ahead if not row.active and (part.country is None or _is_in(row, part.country))]
    if of_country or part.country is None:
        yield Piece("next", "next", tuple(_opening(now, row) for row in of_country[:MOST_OPENINGS]))


def _is_in(row: WindowRow, country: str) -> bool:
    return (row.country or "").strip().casefold() == country.strip().casefold()


def _by_place(group: GroupRow) -> tuple[str, ...]:
    return tuple((part or "").strip().casefold() for part in (group.town.country, group.town.city, group.town.state))


def _town_pieces(
    town: Town, windows: Iterable[WindowRow], now: datetime, there: Mapping[int, PeopleRow]
) -> Iterator[Piece]:
    """Yield the day of a town; if only some of its sessions state the state, as several towns (A4)."""
    by_town: dict[str, list[WindowRow]] = {}
    for row in windows:
        by_town.setdefault(town_key(row.city, row.state, row.country), []).append(row)
    days = {key: _town_day(now, rows, there) for key, rows in sorted(by_town.items())}
    for key, day in days.items():
        if day.entries:
            yield Piece(key, "town", day)
    if not any(day.entries for day in days.values()):
        yield Piece("quiet", "quiet", town)


def _town_day(now: datetime, rows: list[WindowRow], there: Mapping[int, PeopleRow]) -> TownDay:
    first = rows[0]
    day = strips.day_of(now.replace(second=0, microsecond=0), first.timezone)
    today = [row for row in rows if row.active or day.overlaps(Window(row.opens_at, row.closes_at))]
    nearest = _nearest(now, today)
    shown = nearest[:MOST_OF_TOWN]
    ids = {row.session_instance_id for row in shown}
    return TownDay(
        Town(first.city, first.state, first.country),
        words.zone(first.timezone),
        day,
        strips.bars(day, tuple(_bar(row) for row in today if row.session_instance_id in ids)),
        tuple(entry(now, row, there.get(row.session_instance_id)) for row in shown),
        len(nearest) - len(shown),
    )


def _nearest(now: datetime, today: list[WindowRow]) -> list[WindowRow]:
    """Return a window for each instance: its open one, else its next, else its last; what is on comes first."""
    nearest: dict[int, WindowRow] = {}
    for row in today:
        held = nearest.get(row.session_instance_id)
        if held is None or held.closes_at <= now:
            nearest[row.session_instance_id] = row
    return sorted(nearest.values(), key=lambda row: STATES.index(_state(now, row)))


def _state(now: datetime, row: WindowRow) -> str:
    """The active bit decides whether it is on, also in a moment when the window says otherwise."""
    return "on" if row.active else "later" if now < row.closes_at else "over"


def entry(now: datetime, row: WindowRow, people: PeopleRow | None) -> Entry:
    """Return an instance as a list shows it, by its window; `people`: who is there, None for the public."""
    hours, opens, closes, stated, states_end = _times(row)
    state = _state(now, row)
    edge = {
        "on": f"{words.music(stated, row.timezone, now, states_end=states_end)}, open until {closes}",
        "later": f"open from {opens}",
        "over": f"closed at {closes}",
    }[state]
    names = tuple(map(words.full_name, people.first)) if people else ()
    place = words.town(row.city, row.state)
    more = people.total - len(names) if people else 0
    return Entry(row.session_instance_id, row.name, place, hours, state, edge, names, more)


def _opening(now: datetime, row: WindowRow) -> Opening:
    hours, _, _, stated, _ = _times(row)
    starts = words.local_day_and_clock(stated.starts_at if stated else row.opens_at, row.timezone, now)
    place = words.town(row.city, row.state)
    return Opening(row.session_instance_id, row.name, place, starts, hours, words.zone(row.timezone))


@lru_cache(maxsize=8192)
def _times(row: WindowRow) -> tuple[str, str, str, StatedHours | None, bool]:
    """Return the hours, the opening and the closing in words; the hours as instants, and whether they state an end."""
    found = words.occurrence(row, load_settings().default_length)
    opens, closes = (words.local_clock(at, row.timezone) for at in (row.opens_at, row.closes_at))
    states_end = found is not None and found.states_end
    return words.hours(found), opens, closes, words.stated(found, row.timezone), states_end


def _bar(row: WindowRow) -> tuple[Window, StatedHours | None, str]:
    hours, opens, closes, stated, _ = _times(row)
    return Window(row.opens_at, row.closes_at), stated, f"{row.name}, {hours}, open {opens} to {closes}"


def _without_people(piece: Piece) -> Piece:
    if not isinstance(piece.data, TownDay | Group):
        return piece
    entries = tuple(replace(entry, people=None, more=0) for entry in piece.data.entries)
    return replace(piece, data=replace(piece.data, entries=entries))


# Rendering


class Renderer:
    """Makes boards; reuses each block that has not changed since the last snapshot."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._made: dict[tuple[Part, str], tuple[object, Block]] = {}

    def boards(self, snapshot: Snapshot, wanted: Collection[Parts]) -> dict[Parts, Board]:
        """Return the boards of a snapshot that are made of these parts."""
        self._made = {
            (part, piece.key): self._block(part, piece, snapshot.now)
            for part, pieces in snapshot.parts.items()
            for piece in pieces
        }
        blocks = {part: [self._made[part, piece.key][1] for piece in pieces] for part, pieces in snapshot.parts.items()}
        return {parts: Board(tuple(block for part in parts for block in blocks[part])) for parts in wanted}

    def _block(self, part: Part, piece: Piece, now: datetime) -> tuple[object, Block]:
        made = self._made.get((part, piece.key))
        if made and made[0] == piece.data:
            return made
        version = hashlib.sha256(repr(piece.data).encode()).hexdigest()[:12]
        html = self._render(f"seisiun/block_{piece.kind}.html", data=piece.data, now=now)
        return piece.data, Block(piece.key, version, html)


def one_board(app: Flask, snapshot: Snapshot, parts: Parts) -> Board:
    """Return the board of one page."""
    return Renderer(renderer(app)).boards(snapshot, [parts])[parts]


def renderer(app: Flask) -> Render:
    """Return a function that renders a block without a request; its links are relative to the Now page."""
    return lambda template, **values: app.jinja_env.get_template(template).render(words=words.FUNCTIONS, **values)


def render_you(app: Flask, you: You) -> str:
    """Return the lines that say where the viewer is, and what is cancelled or moved of what they said yes to."""
    return renderer(app)("seisiun/block_you.html", you=you)
