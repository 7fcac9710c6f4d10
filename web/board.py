"""What is on, by country and town: read once, and made into blocks of HTML that pages and streams share.

A block has a key and a version; a page that has this version does not need the block again. There are two boards: one
with people's names, for those who are signed in, and one without any people, for everybody else.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from itertools import groupby

from flask import Flask
from sqlalchemy import Connection

from core.active_session_manager import Place, active_instances
from core.db.transaction_settings import clock
from core.settings import load_settings
from core.store.views import pages
from core.store.views.pages import PersonRow, WindowRow
from core.windows import StatedHours, Window
from web import strips, words

MOST_NAMES = 6
MOST_OPENINGS = 8
STATES = ("on", "later", "over")
LONGEST_DAY = timedelta(hours=26)
"""Longer than any strip: a day on which the clocks go back has 25 hours."""

Render = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Entry:
    """An instance in its town's list; `state` is on, later or over. `people`: None for the public."""

    session_instance_id: int
    name: str
    hours: str
    state: str
    edge: str
    people: tuple[str, ...] | None = None
    more: int = 0


@dataclass(frozen=True, slots=True)
class Town:
    """A town's block: its strip, and today's instances."""

    key: str
    name: str
    country: str
    zone: str
    day: strips.Day
    bars: tuple[strips.Bar, ...]
    entries: tuple[Entry, ...]

    @property
    def is_on(self) -> bool:
        """Whether anything is on there."""
        return any(entry.state == "on" for entry in self.entries)

    @property
    def lanes(self) -> int:
        """How many lanes the strip has."""
        return max((bar.lane + 1 for bar in self.bars), default=1)


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
class Snapshot:
    """What the database says at `now`: the board of those who are signed in, and where each of them is."""

    now: datetime
    towns: tuple[Town, ...]
    openings: tuple[Opening, ...]
    at: Mapping[int, Place]

    def public(self) -> "Snapshot":
        """Return the board without anybody on it."""
        return Snapshot(self.now, tuple(map(_without_people, self.towns)), self.openings, {})


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of the page: its key on the page, its version and its HTML."""

    key: str
    version: str
    html: str


@dataclass(frozen=True, eq=False)
class Board:
    """The blocks of a board, in order; `at`: where each person on it is."""

    blocks: tuple[Block, ...]
    at: Mapping[int, Place] = field(default_factory=dict)

    @cached_property
    def order(self) -> list[tuple[str, str]]:
        """The names and versions of the blocks."""
        return [(block.key, block.version) for block in self.blocks]

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """The version of each block that is on the board."""
        return dict(self.order)


def town_key(city: str | None, state: str | None, country: str | None) -> str:
    """Return the key of a town's block; spaces around names and upper or lower case make no difference (A4)."""
    return "/".join((part or "").strip().casefold() for part in (country, state, city))


# Reading


def read(connection: Connection) -> Snapshot:
    """Read the board as it is now."""
    now = clock(connection)
    on = {place.session_instance_id: place for place in active_instances(connection)}
    there = pages.people_there(connection)
    windows = pages.windows_between(connection, now - LONGEST_DAY, now + LONGEST_DAY)
    return Snapshot(
        now,
        tuple(_towns(now, on, there, windows)),
        tuple(_openings(now, on.keys(), windows)),
        {person.person_id: on[at] for at, people in there.items() if at in on for person in people},
    )


def _towns(
    now: datetime, on: Mapping[int, Place], there: Mapping[int, list[PersonRow]], windows: list[WindowRow]
) -> Iterable[Town]:
    def by_town(row: WindowRow) -> str:
        return town_key(row.city, row.state, row.country)

    to_the_minute = now.replace(second=0, microsecond=0)

    for key, group in groupby(sorted(windows, key=_by_place), by_town):
        of_town = list(group)
        first = of_town[0]
        day = strips.day_of(to_the_minute, first.timezone)
        today = [row for row in of_town if day.overlaps(Window(row.opens_at, row.closes_at))]
        today += [row for row in of_town if row.session_instance_id in on and row not in today]
        if today:
            yield Town(
                key,
                words.town(first.city, first.state),
                (first.country or "").strip() or "Elsewhere",
                words.zone(first.timezone),
                day,
                strips.bars(day, tuple(map(_bar, today))),
                tuple(_entries(now, on, there, today)),
            )


def _by_place(row: WindowRow) -> tuple[str, ...]:
    return tuple((part or "").strip().casefold() for part in (row.country, row.city, row.state))


def _entries(
    now: datetime, on: Mapping[int, Place], there: Mapping[int, list[PersonRow]], today: list[WindowRow]
) -> list[Entry]:
    """Return an entry for each instance: its open window counts, else its next one, else its last one."""
    nearest: dict[int, WindowRow] = {}
    for row in today:
        held = nearest.get(row.session_instance_id)
        if held is None or held.closes_at <= now:
            nearest[row.session_instance_id] = row
    entries = [_entry(now, row, there.get(id_, []), is_on=id_ in on) for id_, row in nearest.items()]
    return sorted(entries, key=lambda entry: STATES.index(entry.state))


def _entry(now: datetime, row: WindowRow, people: list[PersonRow], *, is_on: bool) -> Entry:
    """Return the entry. The active bit decides whether it is on, also in a moment when the window says otherwise."""
    hours, opens, closes, stated, states_end = _times(row)
    names = tuple(map(words.full_name, people[:MOST_NAMES]))
    if is_on:
        state, edge = "on", f"{words.music(stated, row.timezone, now, states_end=states_end)}, open until {closes}"
    elif now < row.closes_at:
        state, edge = "later", f"open from {opens}"
    else:
        state, edge = "over", f"closed at {closes}"
    return Entry(row.session_instance_id, row.name, hours, state, edge, names, len(people) - len(names))


def _openings(now: datetime, on: Iterable[int], windows: list[WindowRow]) -> Iterable[Opening]:
    active = frozenset(on)
    ahead = [row for row in windows if row.opens_at > now and row.session_instance_id not in active]
    for row in ahead[:MOST_OPENINGS]:
        hours, _, _, stated, _ = _times(row)
        yield Opening(
            row.session_instance_id,
            row.name,
            words.town(row.city, row.state),
            words.local_day_and_clock(stated.starts_at if stated else row.opens_at, row.timezone),
            hours,
            words.zone(row.timezone),
        )


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


def _without_people(town: Town) -> Town:
    return replace(town, entries=tuple(replace(entry, people=None, more=0) for entry in town.entries))


# Rendering


class Renderer:
    """Makes boards; reuses each block that has not changed since the last board."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._made: dict[tuple[str, str], tuple[object, Block]] = {}

    def board(self, snapshot: Snapshot, audience: str) -> Board:
        """Return the board of a snapshot."""
        on = [town for town in snapshot.towns if town.is_on]
        later = [town for town in snapshot.towns if not town.is_on]
        blocks = [self._block(snapshot, audience, "summary", _summary(on))]
        for country, towns in groupby(on, key=lambda town: town.country):
            blocks.append(self._block(snapshot, audience, "country", country, key=f"country:{country.casefold()}"))
            blocks += [self._block(snapshot, audience, "town", town, key=town.key) for town in towns]
        blocks.append(self._block(snapshot, audience, "next", snapshot.openings))
        if later:
            blocks.append(self._block(snapshot, audience, "later", len(later)))
            blocks += [self._block(snapshot, audience, "town", town, key=town.key) for town in later]
        kept = {block.key for block in blocks}
        self._made = {name: made for name, made in self._made.items() if name[0] != audience or name[1] in kept}
        return Board(tuple(blocks), snapshot.at)

    def _block(self, snapshot: Snapshot, audience: str, kind: str, data: object, key: str | None = None) -> Block:
        name = (audience, key or kind)
        made = self._made.get(name)
        if made and made[0] == data:
            return made[1]
        version = hashlib.sha256(repr(data).encode()).hexdigest()[:12]
        html = self._render(f"seisiun/block_{kind}.html", data=data, now=snapshot.now)
        block = Block(name[1], version, html)
        self._made[name] = (data, block)
        return block


def _summary(on: list[Town]) -> tuple[int, int, int]:
    """Return how many instances are on, in how many towns of how many countries."""
    count = sum(entry.state == "on" for town in on for entry in town.entries)
    return count, len(on), len({town.country for town in on})


def renderer(app: Flask) -> Render:
    """Return a function that renders a block without a request; its links are relative to the Now page."""
    return lambda template, **values: app.jinja_env.get_template(template).render(words=words.FUNCTIONS, **values)


def render_you(app: Flask, at: Place | None) -> str:
    """Return the line that says where the viewer is."""
    return renderer(app)("seisiun/block_you.html", at=at)
