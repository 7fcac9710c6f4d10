"""Transactions of the app's that stay open for seconds, refer to instances about to open, and must hold up nobody.

Who inserts a check-in holds its instance's key (FOR KEY SHARE) until the commit. No edge has an excuse for that.
"""

import random
import time
from contextlib import closing
from threading import Event

import psycopg2

from tests.data import add_check_in, add_person
from tests.faults.book import Book
from tests.faults.server import until_it_answers
from tests.faults.untouched import Untouched


class LongTransactions:
    """One transaction after the other, by people who only say maybe."""

    def __init__(self, url: str, seed: int, book: Book, untouched: Untouched) -> None:
        self._url = url
        self._chance = random.Random(seed)
        self._book = book
        self._untouched = untouched

    def run(self, stop: Event) -> None:
        while not stop.wait(self._chance.uniform(0.1, 0.5)):
            try:
                self._take_long(stop)
            except psycopg2.Error as error:
                self._book.failed(time.time(), error)

    def _take_long(self, stop: Event) -> None:
        now = time.time()
        soon = [i for i, window in list(self._untouched.instances.items()) if now < window.opens_at < now + 2]
        with closing(until_it_answers(self._url)) as app:
            for instance_id in soon[:5]:
                add_check_in(app, instance_id, add_person(app), "maybe")
            stop.wait(self._chance.uniform(0.5, 3))
            app.commit()
